"""Notices of the gateway: what becomes of one, whatever the database has about it."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.disputing import OUTCOMES
from domain.ids import OperationId, OrderId
from domain.news import LAG_MAX, TransactionNews
from domain.notices import (
    DISPUTE,
    FRAUD_WARNING,
    ORPHAN_AFTER,
    PAYMENT,
    REFUND,
    RING_AFTER,
    TYPES,
    UNASKED,
    Fate,
    Found,
    Money,
    Notice,
    Work,
    ask_pause,
    fate_of_heard,
    first_fate,
    judge,
    pause,
)
from domain.operation import OperationKind as Kind
from domain.operation import OperationState, operation_id
from domain.values import replace
from tests.domain.told import dispute, news, refund

ORDER = OrderId("order-1")
NOTICE = Notice(
    "evt_1",
    "payment_intent.succeeded",
    datetime(2026, 11, 1, tzinfo=UTC),
    "pi_1",
    "pi_1",
    ORDER,
    OperationId(operation_id(ORDER, 1, Kind.AUTHORIZE, 1)),
)
YOUNG = timedelta(seconds=2)
NOTHING = Money(authorized_minor=0, captured_minor=0, refunded_minor=0, voided=False)
HELD = replace(NOTHING, authorized_minor=100)
VOIDED = replace(HELD, voided=True)
PAID = replace(HELD, captured_minor=100)
PARTLY_BACK = replace(PAID, refunded_minor=40)
BACK = replace(PAID, refunded_minor=100)
WAITS = Work(OperationState.UNKNOWN, due=False, waits=True, aside=False)


def of_type(name: str) -> Notice:
    return replace(NOTICE, type=name)


def test_the_list_of_the_gateway_can_be_filtered_by_all_our_types() -> None:
    assert len(TYPES) == len(set(TYPES)) <= 20


@pytest.mark.parametrize("state", [OperationState.UNKNOWN, OperationState.PENDING])
@pytest.mark.parametrize("name", TYPES)
def test_an_operation_that_waits_is_woken_by_every_type(name: str, state: OperationState) -> None:
    found = Found(order_exists=True, work=replace(WAITS, state=state), money=BACK)
    assert judge(of_type(name), YOUNG, found) is Fate.WOKEN


def test_an_operation_that_is_due_counts_as_woken() -> None:
    work = replace(WAITS, due=True, waits=False)
    assert judge(NOTICE, YOUNG, Found(order_exists=True, work=work)) is Fate.WOKEN


def test_the_lease_of_another_process_is_waited_for() -> None:
    assert judge(NOTICE, YOUNG, Found(order_exists=True, work=replace(WAITS, waits=False))) is Fate.WAITING


@pytest.mark.parametrize("due", [True, False])
def test_a_notice_that_comes_before_the_answer_of_its_call_waits_for_that(due: bool) -> None:  # noqa: FBT001
    work = replace(WAITS, state=OperationState.OPEN, due=due)
    assert judge(NOTICE, YOUNG, Found(order_exists=True, work=work)) is Fate.WAITING


def test_what_is_set_aside_for_a_person_is_not_woken() -> None:
    work = replace(WAITS, aside=True, waits=False)
    assert judge(NOTICE, YOUNG, Found(order_exists=True, work=work)) is Fate.KEPT


def test_an_order_that_another_session_holds_is_tried_again() -> None:
    assert judge(NOTICE, timedelta(days=30), Found(order_exists=True, free=False)) is Fate.WAITING


def test_an_unknown_order_is_tried_for_a_day() -> None:
    unknown = Found(order_exists=False)
    assert judge(NOTICE, ORPHAN_AFTER - YOUNG, unknown) is Fate.WAITING
    assert judge(NOTICE, ORPHAN_AFTER, unknown) is Fate.UNKNOWN_ORDER


@pytest.mark.parametrize(
    ("name", "known", "told_us_nothing"),
    [
        ("payment_intent.succeeded", [PAID, PARTLY_BACK, BACK], [NOTHING, HELD, VOIDED]),
        ("payment_intent.canceled", [NOTHING, VOIDED], [HELD, PAID]),
        ("payment_intent.amount_capturable_updated", [HELD, VOIDED, PAID, BACK], [NOTHING]),
        ("payment_intent.payment_failed", [NOTHING, HELD, VOIDED, PAID], []),
        ("payment_intent.requires_action", [NOTHING, HELD, VOIDED, PAID], []),
        ("charge.refunded", [BACK], [NOTHING, HELD, PAID, PARTLY_BACK]),
        ("refund.created", [BACK], [NOTHING, HELD, PAID, PARTLY_BACK]),
        ("refund.updated", [BACK], [NOTHING, HELD, PAID, PARTLY_BACK]),
        ("refund.failed", [], [PAID, PARTLY_BACK, BACK]),
        *((name, [], [PAID, BACK]) for name in UNASKED),
    ],
)
def test_what_our_books_do_not_have_is_kept_and_never_called_known(
    name: str, known: list[Money], told_us_nothing: list[Money]
) -> None:
    fates = [judge(of_type(name), YOUNG, Found(order_exists=True, money=money)) for money in known]
    assert fates == [Fate.KNOWN] * len(known)
    fates = [judge(of_type(name), YOUNG, Found(order_exists=True, money=money)) for money in told_us_nothing]
    assert fates == [Fate.KEPT] * len(told_us_nothing)


@pytest.mark.parametrize("name", [*PAYMENT, *REFUND])
def test_a_transaction_that_no_attempt_has_is_kept(name: str) -> None:
    assert judge(of_type(name), YOUNG, Found(order_exists=True, money=None)) is Fate.KEPT


def test_a_notice_without_an_order_is_kept_at_once() -> None:
    assert first_fate(NOTICE) is Fate.WAITING
    assert first_fate(replace(NOTICE, order_id=None, operation_id=None)) is Fate.KEPT


def test_the_pause_grows_with_the_age_within_its_bounds() -> None:
    ages = [timedelta(0), timedelta(seconds=30), timedelta(hours=20)]
    assert [pause(age).total_seconds() for age in ages] == [1, 30, 300]


def test_the_gateway_is_asked_again_ever_more_rarely_and_once_a_day_in_the_end() -> None:
    ages = [timedelta(0), timedelta(seconds=30), timedelta(hours=20), RING_AFTER, timedelta(days=9)]
    assert [ask_pause(age) for age in ages] == [
        timedelta(seconds=5),
        timedelta(seconds=30),
        timedelta(hours=1),
        timedelta(days=1),
        timedelta(days=1),
    ]


def test_an_answer_without_news_is_believed_the_second_time() -> None:
    taken = news(captured_minor=100)
    assert fate_of_heard(NOTICE, timedelta(seconds=1), taken, did=False) is Fate.KEPT
    assert fate_of_heard(NOTICE, ask_pause(timedelta(0)), taken, did=False) is Fate.KNOWN
    assert fate_of_heard(NOTICE, timedelta(seconds=1), taken, did=True) is Fate.APPLIED


UNTOUCHED = news(captured_minor=0)
THERE = (
    ("payment_intent.succeeded", "pi_1", news()),
    ("payment_intent.canceled", "pi_1", news(captured_minor=0, cancelled=True)),
    ("payment_intent.amount_capturable_updated", "pi_1", news(captured_minor=0, held_minor=100)),
    ("refund.created", "re_2", news(refund("re_2"))),
    ("refund.updated", "re_2", news(refund("re_2", state="failed"))),
    ("refund.updated", "re_2", news(refund("re_2"))),
    ("refund.created", "re_2", news(captured_minor=0, freed=("re_2",))),
    ("refund.failed", "re_2", news(refund("re_2", state="failed"))),
    *((name, "dp_1", news(disputes=(dispute(),))) for name in DISPUTE[:3]),
    ("charge.dispute.funds_withdrawn", "dp_1", news(disputes=(dispute("won"),))),
    ("charge.dispute.funds_reinstated", "dp_1", news(disputes=(dispute("under_review", funds_withdrawn=False),))),
    *(("charge.dispute.closed", "dp_1", news(disputes=(dispute(status),))) for status in OUTCOMES),
)
LAGGING = (
    *((name, thing, UNTOUCHED) for name, thing, _ in THERE),
    ("refund.updated", "re_2", news(refund("re_1"))),
    ("refund.updated", "re_2", news(refund("re_2", state="pending"))),
    ("refund.created", "re_2", news(refund("re_2", state="pending"))),
    ("refund.failed", "re_2", news(refund("re_2"))),
    ("charge.dispute.created", "dp_2", news(disputes=(dispute(),))),
    ("charge.dispute.funds_withdrawn", "dp_1", news(disputes=(dispute("warning_needs_response"),))),
    ("charge.dispute.funds_reinstated", "dp_1", news(disputes=(dispute(),))),
    ("charge.dispute.closed", "dp_1", news(disputes=(dispute(), dispute("won", dispute_id="dp_2")))),
)


@pytest.mark.parametrize(("name", "thing", "said"), THERE)
def test_a_fact_that_is_booked_ends_the_notices_whose_own_object_is_in_the_answer(
    name: str, thing: str, said: TransactionNews
) -> None:
    told = replace(NOTICE, type=name, object_id=thing)
    assert fate_of_heard(told, YOUNG, said, did=True) is Fate.APPLIED


@pytest.mark.parametrize("did", [True, False])
@pytest.mark.parametrize(("name", "thing", "said"), LAGGING)
def test_a_notice_whose_object_a_lagging_answer_lacks_stays_and_ends_in_a_quarter_of_an_hour(
    name: str, thing: str, said: TransactionNews, *, did: bool
) -> None:
    told = replace(NOTICE, type=name, object_id=thing)
    assert fate_of_heard(told, LAG_MAX - YOUNG, said, did=did) is Fate.KEPT
    assert fate_of_heard(told, LAG_MAX, said, did=did) is (Fate.APPLIED if did else Fate.KNOWN)


def test_a_change_of_a_dispute_is_asked_about_until_no_answer_can_be_from_before_it() -> None:
    told = replace(NOTICE, type="charge.dispute.updated", object_id="dp_1")
    before = news(disputes=(dispute(),))
    assert fate_of_heard(told, LAG_MAX - YOUNG, before, did=False) is Fate.KEPT
    assert fate_of_heard(told, LAG_MAX, before, did=False) is Fate.KNOWN
    assert fate_of_heard(told, YOUNG, before, did=True) is Fate.APPLIED


@pytest.mark.parametrize("name", ["charge.refunded", "payment_intent.payment_failed", FRAUD_WARNING])
def test_a_notice_that_names_nothing_to_look_for_ends_with_the_first_fact(name: str) -> None:
    assert fate_of_heard(of_type(name), YOUNG, UNTOUCHED, did=True) is Fate.APPLIED
