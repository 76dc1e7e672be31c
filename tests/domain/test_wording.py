"""The texts of a payment: a template that is accepted at start gives every order a text that the gateway takes."""

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.reactions import BY_NAME
from domain.case import Case
from domain.decision import Decision
from domain.failure_codes import FailureCode
from domain.ids import OrderId
from domain.opening import authorize, retry
from domain.operating import gateway_call, open_operation
from domain.operation import Frozen, OperationKind
from domain.order import Order, Status
from domain.outcome import Declined
from domain.retries import retry_refusal
from domain.rules import Context
from domain.values import replace
from domain.wording import (
    DESCRIPTION_LENGTH_MAX,
    SUFFIX_LENGTH_MAX,
    URL_LENGTH_MAX,
    check_description,
    check_return_url,
    check_suffix,
    description_of,
    return_url_of,
    suffix_of,
)
from schemas.events import CustomerNotificationRequested, Event, PaymentFailed, PaymentMethod, PaymentMethodKind
from tests.domain.builders import attempt, context, order
from tests.schemas.builders import order_confirmed, payment_retry_requested

ORDER_IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64).map(OrderId)
TEMPLATES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x100), max_size=30)


def accepted(template: str) -> bool:
    try:
        check_suffix(template)
    except ValueError:
        return False
    return True


@given(TEMPLATES, st.sampled_from(["", "{order_id}"]), TEMPLATES, ORDER_IDS)
def test_a_suffix_that_is_accepted_at_start_is_within_the_limits_for_every_order(
    before: str, placeholder: str, behind: str, order_id: OrderId
) -> None:
    template = f"{before}{placeholder}{behind}"
    if not accepted(template):
        return
    suffix = suffix_of(template, order_id)
    assert 1 <= len(suffix) <= SUFFIX_LENGTH_MAX
    assert suffix.isascii()
    assert suffix.isprintable()
    assert any(each.isalpha() for each in suffix)
    assert not set(suffix) & set("<>\\'\"*")
    assert suffix == suffix.strip()


@pytest.mark.parametrize(
    ("template", "order_id", "suffix"),
    [
        ("{order_id} SHOP", "order-1", "order-1 SHOP"),
        ("NO {order_id}", "2026-11-29-0000000000123", "NO 11-29-0000000000123"),
        ("NO {order_id}", "<a>'b\"*\\", "NO -a--b---"),
        ("FLOWERS", "order-1", "FLOWERS"),
        ("x" * 21 + "{order_id}", "order-12", "x" * 21 + "2"),
        ("a" * 22, "order-1", "a" * 22),
    ],
)
def test_the_end_of_a_long_id_is_kept_and_what_is_refused_becomes_a_hyphen(
    template: str, order_id: str, suffix: str
) -> None:
    check_suffix(template)
    assert suffix_of(template, OrderId(order_id)) == suffix


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{order_id}", "letter"),
        ("1 2 {order_id}", "letter"),
        ("", "letter"),
        ("SHOP*{order_id}", "none of"),
        ("L'OR {order_id}", "none of"),
        ("CAF\N{LATIN CAPITAL LETTER E WITH ACUTE}", "ASCII"),
        ("A\tB", "ASCII"),
        ("x" * 22 + "{order_id}", "at most 21 characters"),
        ("x" * 23, "at most 22 characters"),
        ("{order_id} {order_id} A", "no other braces"),
        ("A {customer_id}", "no other braces"),
        ("A {", "no other braces"),
        (" A", "blank"),
    ],
)
def test_a_suffix_that_could_be_refused_is_refused_at_start(template: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_suffix(template)


@given(ORDER_IDS)
def test_a_description_that_is_accepted_at_start_fits_with_every_order(order_id: OrderId) -> None:
    template = "\N{EURO SIGN}" * (DESCRIPTION_LENGTH_MAX - 64) + "{order_id}"
    check_description(template)
    assert len(description_of(template, order_id)) <= DESCRIPTION_LENGTH_MAX
    assert description_of("Order {order_id}", order_id) == f"Order {order_id}"


@pytest.mark.parametrize(
    ("template", "says"),
    [("x" * 937 + "{order_id}", "at most 936"), ("x" * 1001, "at most 1000"), ("a\nb", "one line"), ("{x}", "braces")],
)
def test_a_description_that_could_be_refused_is_refused_at_start(template: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_description(template)


URL = "https://shop.example/orders/{order_id}/paid?from=bank"


@pytest.mark.parametrize("kind", [OperationKind.AUTHORIZE, OperationKind.CAPTURE, OperationKind.REFUND])
@pytest.mark.parametrize("method", ["CARD", "WALLET", "BANK", "OTHER"])
def test_texts_are_frozen_with_an_authorize_and_the_suffix_with_cards_only(kind: OperationKind, method: str) -> None:
    now = context(statement_suffix="NO {order_id}", description="Order {order_id}", return_url=URL)
    paid = attempt(method_kind=method)
    opened = open_operation(order(Status.CONFIRMED, paid), now, kind, paid, "authorize_payment", 3_080).operations[-1]

    url = "https://shop.example/orders/order-1/paid?from=bank"
    frozen = Frozen(
        statement_suffix="NO order-1" if method == "CARD" else None,
        description="Order order-1",
        return_url=url,
        method_kind=None if method == "CARD" else method,
    )
    expected = frozen if kind is OperationKind.AUTHORIZE else None
    assert opened.frozen == gateway_call(opened, "pm_1").frozen == expected


def test_without_texts_nothing_is_frozen_with_a_card_and_else_its_kind() -> None:
    opened = open_operation(order(), context(), OperationKind.AUTHORIZE, attempt(), "authorize_payment", 3_080)
    assert opened.operations[-1].frozen is None
    cards_only = open_operation(
        order(), context(statement_suffix="A"), OperationKind.AUTHORIZE, attempt(method_kind="BANK"), "a", 3_080
    )
    assert cards_only.operations[-1].frozen == Frozen(method_kind="BANK")


def saved(*, off_session: bool) -> PaymentMethod:
    kind = PaymentMethodKind.CARD
    return PaymentMethod(kind=kind, token="pm_1", gateway_customer_id="cus_1", off_session=off_session)


@pytest.mark.parametrize("off_session", [False, True])
def test_a_saved_method_is_frozen_with_the_attempt_that_it_pays(*, off_session: bool) -> None:
    frozen = Frozen(
        return_url=None if off_session else "https://shop.example/orders/order-1/paid?from=bank",
        customer_id="cus_1",
        off_session=off_session,
    )
    now, method = context(return_url=URL), saved(off_session=off_session)

    first = authorize(case(None, "authorize_payment", order_confirmed(payment_method=method), now))
    again = retry(case(failed(now), "retry_payment", payment_retry_requested(payment_method=method), now))

    assert [opened_by(decision) for decision in (first, again)] == [frozen, frozen]


def test_a_retry_without_a_saved_method_forgets_the_one_before() -> None:
    now = context()
    again = retry(case(failed(now), "retry_payment", payment_retry_requested(), now))
    assert opened_by(again) is None


def test_what_is_frozen_never_shows_the_customer() -> None:
    frozen = Frozen(description="Order 7", customer_id="cus_secret")
    opened = replace(
        open_operation(order(), context(), OperationKind.AUTHORIZE, attempt(), "a", 1).operations[0], frozen=frozen
    )
    assert "Order 7" in repr(frozen)
    assert "cus_secret" not in f"{frozen!r} {frozen} {opened!r} {gateway_call(opened, None)!r}"


def failed(now: Context) -> Order:
    """Return an order whose first attempt, with a saved method, has failed."""
    event = order_confirmed(payment_method=saved(off_session=True))
    opened = authorize(case(None, "authorize_payment", event, now)).order
    assert opened is not None
    return replace(opened, status=Status.PAYMENT_FAILED, operations=(), retryable=True)


def case(known: Order | None, reaction: str, event: Event, now: Context) -> Case:
    return Case(known, now, reaction, event)  # type: ignore[arg-type]


def opened_by(decision: Decision) -> Frozen | None:
    assert decision.order is not None
    return decision.order.operations[-1].frozen


@given(ORDER_IDS)
def test_every_order_has_a_return_url_of_its_own_that_is_one_url(order_id: OrderId) -> None:
    literal = "https://shop.example/" + "p" * (URL_LENGTH_MAX - 3 * 64 - 21)
    check_return_url(literal + "{order_id}")
    url = urlsplit(made := return_url_of(literal + "{order_id}", order_id))
    assert len(made) <= URL_LENGTH_MAX
    assert made.isascii()
    assert (url.scheme, url.netloc, url.query, url.fragment) == ("https", "shop.example", "", "")
    assert unquote(url.path).endswith("p" + order_id)

    inside = return_url_of("https://shop.example/back?order={order_id}&by=bank", order_id)
    assert parse_qsl(urlsplit(inside).query) == [("order", order_id), ("by", "bank")]


@pytest.mark.parametrize(
    "template",
    [
        "https://shop.example",
        "https://shop.example/{order_id}",
        "https://shop.example:8443/a?order={order_id}",
        "http://localhost:3000/{order_id}",
        "http://127.0.0.1/{order_id}",
        "http://[::1]:80/{order_id}",
        "https://shop.example/" + "p" * (URL_LENGTH_MAX - 21),
    ],
)
def test_a_url_that_a_customer_can_be_sent_to_is_accepted(template: str) -> None:
    check_return_url(template)
    assert urlsplit(return_url_of(template, OrderId("a/b"))).netloc == urlsplit(template).netloc


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("http://shop.example/{order_id}", "must begin with https://"),
        ("http://10.0.0.1/{order_id}", "must begin with https://"),
        ("shop://back/{order_id}", "must begin with https://"),
        ("javascript:alert(1)", "must begin with https://"),
        ("/back/{order_id}", "must begin with https://"),
        ("", "must begin with https://"),
        ("https:///{order_id}", "must name a host"),
        ("https://:443/", "must name a host"),
        ("https://shop.example:0/", "must name a host"),
        ("https://shop.example:99999/", "host or port"),
        ("https://[::1/", "host or port"),
        ("https://user:secret@shop.example/", "no user name"),
        ("https://user@shop.example/", "no user name"),
        ("https://{order_id}.shop.example/", "behind the host"),
        ("https://shop.example/#{order_id}", "no fragment"),
        ("https://shop.example/#", "no fragment"),
        ("https://shop.example/a b", "without blanks"),
        ("https://shop.example/\N{LATIN SMALL LETTER E WITH ACUTE}", "ASCII"),
        ("https://shop.example/\x7f", "ASCII"),
        ("https://shop.example/{order_id}/{order_id}", "no other braces"),
        ("https://shop.example/{customer}", "no other braces"),
        ("https://shop.example/" + "p" * (URL_LENGTH_MAX - 20), "at most 2048"),
        ("https://shop.example/" + "p" * (URL_LENGTH_MAX - 3 * 64 - 20) + "{order_id}", "at most 1856"),
        (" https://shop.example/", "blank"),
    ],
)
def test_a_url_that_no_customer_should_be_sent_to_is_refused_at_start(template: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_return_url(template)


@pytest.mark.parametrize(
    ("off_session", "says"), [(True, "confirm this payment yourself"), (False, "cannot offer here")]
)
def test_a_decline_that_asks_for_a_confirmation_tells_a_customer_who_was_away_to_come_back(
    says: str, *, off_session: bool
) -> None:
    now = context()
    event = order_confirmed(payment_method=saved(off_session=off_session))
    known = authorize(case(None, "authorize_payment", event, now)).order
    assert known is not None

    declined = Declined(FailureCode.AUTHENTICATION_REQUIRED, "authentication_required", "pi_1")
    decision = BY_NAME["authorize_payment"].settle(known, known.operations[0], declined, now)

    told = [
        draft.reason for draft in decision.events if isinstance(draft, PaymentFailed | CustomerNotificationRequested)
    ]
    assert len(told) == 2
    assert all(says in reason for reason in told if reason is not None)
    assert decision.order is not None
    assert retry_refusal(decision.order, payment_retry_requested(), now) is None
