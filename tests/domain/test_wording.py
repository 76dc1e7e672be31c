"""The texts of a payment: a template that is accepted at start gives every order a text that the gateway takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import OrderId
from domain.operating import gateway_call, open_operation
from domain.operation import Frozen, OperationKind
from domain.order import Status
from domain.wording import (
    DESCRIPTION_LENGTH_MAX,
    SUFFIX_LENGTH_MAX,
    check_description,
    check_suffix,
    description_of,
    suffix_of,
)
from tests.domain.builders import attempt, context, order

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


@pytest.mark.parametrize("kind", [OperationKind.AUTHORIZE, OperationKind.CAPTURE, OperationKind.REFUND])
@pytest.mark.parametrize("method", ["CARD", "WALLET", "BANK", "OTHER"])
def test_texts_are_frozen_with_an_authorize_and_the_suffix_with_cards_only(kind: OperationKind, method: str) -> None:
    now = context(statement_suffix="NO {order_id}", description="Order {order_id}")
    paid = attempt(method_kind=method)
    opened = open_operation(order(Status.CONFIRMED, paid), now, kind, paid, "authorize_payment", 3_080).operations[-1]

    suffix = "NO order-1" if method == "CARD" else None
    expected = Frozen(suffix, "Order order-1") if kind is OperationKind.AUTHORIZE else None
    assert opened.frozen == gateway_call(opened, "pm_1").frozen == expected


def test_without_texts_nothing_is_frozen() -> None:
    opened = open_operation(order(), context(), OperationKind.AUTHORIZE, attempt(), "authorize_payment", 3_080)
    assert opened.operations[-1].frozen is None
    cards_only = open_operation(
        order(), context(statement_suffix="A"), OperationKind.AUTHORIZE, attempt(method_kind="BANK"), "a", 3_080
    )
    assert cards_only.operations[-1].frozen is None
