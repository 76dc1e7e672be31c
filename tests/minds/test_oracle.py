"""The oracle on evidence made by hand: all is right first, then one thing is wrong at a time."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.fleet import End, How
from tests.chaos.messages import Message
from tests.chaos.published import Published, Sent
from tests.minds import messages
from tests.minds.evidence import Event, Evidence, Letter, OrderRow, RequestRow
from tests.minds.oracle import Case, judge
from tests.minds.script import REFUNDABLE, SCARCE, STOCK, Kind, Order, Script

AT = 1_800_000_000.0
MICROS = 1_000_000
WINDOW_S = 20.0
BY_NAME: dict[str, Kind] = {kind.name: kind for kind in REFUNDABLE}


def order(name: str, kind: str = "paid") -> Order:
    return Script(1, f"{name}-", [BY_NAME[kind]]).orders(1)[0]


CANCELLED = order("cancelled")
"""Paid, cancelled within the window; a second request came behind."""
REFUNDED = order("refunded")
"""Paid, a part of it asked back with a unit; said twice, and once with other content; one request over what is kept."""
FAILED = order("failed", "declined for good")
"""Its cancel was refused, for its payment had failed."""
OVERTAKEN = order("overtaken")
"""Its cancel was there first."""
PART = REFUNDED.total_minor // 2
SKU = next(iter(REFUNDED.units))


class Topics:
    """Writes events of an order, a version each."""

    def __init__(self, about: Order) -> None:
        self._about = about
        self.events: list[Event] = []

    def say(self, event_type: str, after_s: float = 1.0, **fields: Any) -> "Topics":
        version = len(self.events) + 1
        common = {
            "order_id": self._about.order_id,
            "event_id": f"{self._about.order_id} {version}",
            "order_version": version,
            "ordinal": 0,
            "occurred_at": int((AT + after_s) * MICROS),
            "currency": self._about.currency,
            "amount_minor": self._about.total_minor,
        }
        self.events.append(Event(event_type, {**common, **fields}, b"%d" % version))
        return self

    def paid(self) -> "Topics":
        reservation = f"{self._about.order_id}/1"
        self.say("PaymentAuthorized").say("ItemsReserved", reservation_id=reservation)
        return self.say("PaidAndConfirmed", 2.0)

    def told(self, kind: str) -> "Topics":
        return self.say("CustomerNotificationRequested", kind=kind)

    def refused(self, request_id: str, reason: str, event_type: str = "CancellationRefused") -> "Topics":
        return self.say(event_type, 5.0, request_id=request_id, reason=reason)

    def back(self, refund_id: str, amount: int, request_id: str | None = None) -> "Topics":
        return self.say("PaymentRefunded", 4.0, refund_id=refund_id, amount_minor=amount, request_id=request_id)


def intent(about: Order, captured: int, refunded: int, status: str = "succeeded") -> dict[str, Any]:
    return {
        "order_id": about.order_id,
        "status": status,
        "currency": about.currency,
        "amount_captured_minor": captured,
        "amount_refunded_minor": refunded,
        "disputes": [],
        "effects": [{"kind": "capture", "key": "k-1"}, {"kind": "refund", "key": "k-2"}],
    }


def right_case() -> Case:
    published = Published()
    units = [{"sku": SKU, "quantity": 1}]
    one = messages.refund(REFUNDED, "r1", PART, {SKU: 1})
    other = messages.refund(REFUNDED, "r1", PART + 7, {SKU: 1})
    said = [
        *(messages.confirmed(about) for about in (CANCELLED, REFUNDED, FAILED, OVERTAKEN)),
        messages.cancel(CANCELLED, "c1"),
        messages.cancel(CANCELLED, "c2"),
        messages.cancel(FAILED, "c1"),
        messages.cancel(OVERTAKEN, "c1"),
        one,
        one,
        other,
        messages.refund(REFUNDED, "r2", REFUNDED.total_minor),
    ]
    for offset, message in enumerate(said):
        published.add(sent(message, offset))
    lines = [{"sku": sku, "quantity": units} for sku, units in CANCELLED.units.items()]
    cancelled = Topics(CANCELLED).paid().back("re_1", CANCELLED.total_minor)
    cancelled.say("OrderCancelled", 4.0, request_id="c1", money="RETURNED").told("CANCELLED")
    cancelled.say("ItemsRestocked", request_id="c1", lines=lines).refused("c2", "ALREADY_CANCELLED")
    refunded = Topics(REFUNDED).paid().back("re_2", PART, "r1").say("ItemsRestocked", request_id="r1", lines=units)
    refunded.refused("r2", "EXCEEDS_KEPT", "RefundRefused")
    failed = Topics(FAILED).say("PaymentFailed", attempt=1, retryable=False, retry_until=None, money="NONE")
    failed.refused("c1", "PAYMENT_FAILED")
    overtaken = Topics(OVERTAKEN).say("OrderCancelled", request_id="c1", money="NONE").told("CANCELLED")
    total, part = CANCELLED.total_minor, REFUNDED.total_minor
    sold = dict(REFUNDED.units)
    sold[SKU] -= 1
    letter = Letter(other.event_id, "conflict")
    found = Evidence(
        events=[*cancelled.events, *refunded.events, *failed.events, *overtaken.events],
        letters=[letter],
        kept=[letter],
        orders={
            CANCELLED.order_id: OrderRow("cancelled", None, total, total),
            REFUNDED.order_id: OrderRow("paid_and_confirmed", None, part, PART),
            FAILED.order_id: OrderRow("payment_failed"),
            OVERTAKEN.order_id: OrderRow("cancelled"),
        },
        requests=[RequestRow(CANCELLED.order_id, "c1", "cancel", "done")],
        stock={sku: (units, units - sold.get(sku, 0), 0, sold.get(sku, 0)) for sku, units in STOCK.items()},
        ledger=[intent(CANCELLED, total, total), intent(REFUNDED, part, PART)],
        audit={"holds": True, "quiescent": True, "invariants": []},
    )
    orders = {about.order_id: about for about in (CANCELLED, REFUNDED, FAILED, OVERTAKEN)}
    overtaken_ids = frozenset({OVERTAKEN.order_id})
    return Case(orders, published, found, STOCK, WINDOW_S, overtaken=overtaken_ids)


def sent(message: Message, offset: int, at: float = AT + 3) -> Sent:
    return Sent(message, message.event_type, 0, offset, at)


def find(case: Case, about: Order, event_type: str, request_id: str | None = None) -> Event:
    found = [e for e in case.found.events if (e.order_id, e.type) == (about.order_id, event_type)]
    return next(e for e in found if request_id is None or e.fields["request_id"] == request_id)


def change(case: Case, event: Event, **fields: Any) -> None:
    at = case.found.events.index(event)
    case.found.events[at] = replace(event, fields={**event.fields, **fields})


def again(case: Case, event: Event, **fields: Any) -> None:
    latest = max(e.at[0] for e in case.found.events if e.order_id == event.order_id)
    new = {"order_version": latest + 1, "event_id": f"{event.order_id} {latest + 1}"}
    case.found.events.append(replace(event, fields={**event.fields, **new, **fields}))


def books(case: Case, about: Order, **fields: Any) -> None:
    next(one for one in case.found.ledger if one["order_id"] == about.order_id).update(fields)


def row(case: Case, about: Order, **fields: Any) -> None:
    case.found.orders[about.order_id] = replace(case.found.orders[about.order_id], **fields)


def test_what_is_all_right_is_no_violation() -> None:
    assert judge(right_case()).violations == ()


def test_a_letter_published_twice_after_a_kill_is_no_violation() -> None:
    case = right_case()
    case.found.letters.append(case.found.letters[0])
    assert judge(case).violations == ()


def late(case: Case) -> Case:
    """Have every order come so late that nothing need have waited for it."""
    case.early_wait_s = -1_000.0
    return case


def test_what_waited_for_its_order_through_an_outage_is_taken_and_no_violation() -> None:
    assert judge(late(right_case())).violations == ()


def test_of_what_waited_so_only_one_content_is_taken() -> None:
    case = late(right_case())
    both_contents_taken(case)
    assert {violation.check for violation in judge(case).violations} == {"letter"}


def cancel_not_answered(case: Case) -> None:
    case.found.events.remove(find(case, CANCELLED, "CancellationRefused"))


def cancelled_twice(case: Case) -> None:
    again(case, find(case, CANCELLED, "OrderCancelled"))


def cancelled_and_refused(case: Case) -> None:
    again(case, find(case, CANCELLED, "CancellationRefused"), request_id="c1")


def paid_after_cancelled(case: Case) -> None:
    again(case, find(case, CANCELLED, "PaidAndConfirmed"))


def failed_after_cancelled(case: Case) -> None:
    again(case, find(case, FAILED, "PaymentFailed"), order_id=CANCELLED.order_id, order_version=50)


def cancelled_with_money_kept(case: Case) -> None:
    books(case, CANCELLED, amount_refunded_minor=CANCELLED.total_minor - 1)


def cancelled_with_money_held(case: Case) -> None:
    books(case, CANCELLED, status="requires_capture")


def cancelled_and_not_told(case: Case) -> None:
    case.found.events.remove(find(case, CANCELLED, "CustomerNotificationRequested"))


def cancelled_without_a_word(case: Case) -> None:
    row(case, FAILED, status="cancelled")


def cancel_said_to_have_taken_nothing(case: Case) -> None:
    change(case, find(case, CANCELLED, "OrderCancelled"), money="NONE")


def refused_as_too_late_in_time(case: Case) -> None:
    change(case, find(case, CANCELLED, "CancellationRefused"), reason="TOO_LATE")


def refused_for_a_preparation_that_never_was(case: Case) -> None:
    change(case, find(case, CANCELLED, "CancellationRefused"), reason="PREPARATION_STARTED")


def refused_for_a_dispute_that_never_was(case: Case) -> None:
    change(case, find(case, CANCELLED, "CancellationRefused"), reason="DISPUTED")


def refused_as_failed_though_a_retry_was_open(case: Case) -> None:
    later = int((AT + 900) * MICROS)
    change(case, find(case, FAILED, "PaymentFailed"), retryable=True, retry_until=later)


def refused_as_cancelled_by_itself(case: Case) -> None:
    case.found.events.remove(find(case, CANCELLED, "OrderCancelled"))
    case.found.events.remove(find(case, CANCELLED, "CustomerNotificationRequested"))


def cancelled_after_the_window(case: Case) -> None:
    message = messages.cancel(CANCELLED, "c3")
    case.published.add(sent(message, 90, AT + 2 + WINDOW_S + 5))
    change(case, find(case, CANCELLED, "OrderCancelled"), request_id="c3")


def cancelled_after_its_preparation_had_begun(case: Case) -> None:
    case.prepared = frozenset({CANCELLED.order_id})
    case.published.add(sent(messages.preparation(CANCELLED), 93))


def nobody_asked_for_the_cancel(case: Case) -> None:
    again(case, find(case, CANCELLED, "CancellationRefused"), order_id=REFUNDED.order_id, order_version=50)


def overtaken_and_called(case: Case) -> None:
    case.found.ledger.append(intent(OVERTAKEN, 0, 0, "canceled"))


def overtaken_and_reserved(case: Case) -> None:
    again(case, find(case, CANCELLED, "ItemsReserved"), order_id=OVERTAKEN.order_id, order_version=0)


def cancelled_and_goods_gone(case: Case) -> None:
    case.found.events.remove(find(case, CANCELLED, "ItemsRestocked"))


def held_for_a_cancelled_order(case: Case) -> None:
    for event_type in ("PaidAndConfirmed", "ItemsRestocked"):
        case.found.events.remove(find(case, CANCELLED, event_type))


def refund_not_answered(case: Case) -> None:
    case.found.events.remove(find(case, REFUNDED, "RefundRefused"))


def refunded_twice(case: Case) -> None:
    again(case, find(case, REFUNDED, "PaymentRefunded"), refund_id="re_3")


def refunded_and_refused(case: Case) -> None:
    again(case, find(case, REFUNDED, "RefundRefused"), request_id="r1")


def refunded_more_than_asked(case: Case) -> None:
    change(case, find(case, REFUNDED, "PaymentRefunded"), amount_minor=PART + 1)
    books(case, REFUNDED, amount_refunded_minor=PART + 1)
    row(case, REFUNDED, refunded_minor=PART + 1)


def refunded_less_than_asked(case: Case) -> None:
    change(case, find(case, REFUNDED, "PaymentRefunded"), amount_minor=PART - 1)
    books(case, REFUNDED, amount_refunded_minor=PART - 1)
    row(case, REFUNDED, refunded_minor=PART - 1)


def refunded_what_nobody_asked(case: Case) -> None:
    change(case, find(case, REFUNDED, "PaymentRefunded"), request_id="r9")


def refused_though_enough_is_kept(case: Case) -> None:
    message = messages.refund(REFUNDED, "r3", 1)
    case.published.add(sent(message, 91))
    again(case, find(case, REFUNDED, "RefundRefused"), request_id="r3")


def refused_as_unpaid_though_paid(case: Case) -> None:
    change(case, find(case, REFUNDED, "RefundRefused"), reason="NOT_PAID")


def refused_as_sold_out(case: Case) -> None:
    change(case, find(case, REFUNDED, "RefundRefused"), reason="EXCEEDS_SOLD")


def gateway_refunded_more(case: Case) -> None:
    books(case, REFUNDED, amount_refunded_minor=PART + 1)


def gave_back_more_than_taken(case: Case) -> None:
    books(case, REFUNDED, amount_refunded_minor=REFUNDED.total_minor + 1)


def executed_twice_under_one_key(case: Case) -> None:
    books(case, REFUNDED, effects=[{"kind": "refund", "key": "k-2"}] * 2)


def books_differ(case: Case) -> None:
    row(case, REFUNDED, refunded_minor=PART + 1)


def captured_too_much(case: Case) -> None:
    books(case, REFUNDED, amount_captured_minor=REFUNDED.total_minor + 1)


def restocked_twice(case: Case) -> None:
    again(case, find(case, REFUNDED, "ItemsRestocked"))


def restocked_other_units(case: Case) -> None:
    change(case, find(case, REFUNDED, "ItemsRestocked"), lines=[{"sku": SKU, "quantity": 99}])


def restocked_nothing(case: Case) -> None:
    case.found.events.remove(find(case, REFUNDED, "ItemsRestocked"))


def stock_lost(case: Case) -> None:
    put_in, available, reserved, sold = case.found.stock[SKU]
    case.found.stock[SKU] = (put_in, available - 1, reserved, sold)


def stock_held(case: Case) -> None:
    case.found.stock[SCARCE] = (1, 0, 1, 0)


def sold_more(case: Case) -> None:
    put_in, available, reserved, sold = case.found.stock[SKU]
    case.found.stock[SKU] = (put_in, available - 1, reserved, sold + 1)


def both_contents_taken(case: Case) -> None:
    case.found.kept.clear()
    case.found.letters.clear()


def valid_one_a_dead_letter(case: Case) -> None:
    message = next(one.message for one in case.published.sent() if one.message.title == "c2")
    for letters in (case.found.kept, case.found.letters):
        letters.append(Letter(message.event_id, "illegal_transition"))


def letter_without_its_copy(case: Case) -> None:
    case.found.letters.clear()


def letter_on_a_topic_only(case: Case) -> None:
    case.found.letters.append(replace(case.found.letters[0], where="another place"))


def letter_with_two_contents(case: Case) -> None:
    case.found.letters.append(replace(case.found.letters[0], digest=b"another"))


def of_nobody_and_forgotten(case: Case) -> None:
    nobody = order("nobody")
    case.nobodies = frozenset({nobody.order_id})
    case.published.add(sent(messages.cancel(nobody, "c1"), 92))


def order_lost(case: Case) -> None:
    del case.found.orders[FAILED.order_id]


def paid_twice(case: Case) -> None:
    again(case, find(case, REFUNDED, "PaidAndConfirmed"))


def in_review(case: Case) -> None:
    again(case, find(case, REFUNDED, "RefundRefused"), request_id="r2", reason="refund_failed")
    last = case.found.events[-1]
    case.found.events[-1] = replace(last, type="PaymentReviewRequired")


def request_without_end(case: Case) -> None:
    case.found.requests.append(RequestRow(REFUNDED.order_id, "r1", "refund", "taken"))


def something_under_way(case: Case) -> None:
    case.found.left = {"calls under way": 1}


def copies_differ(case: Case) -> None:
    case.found.events.append(replace(find(case, REFUNDED, "PaymentRefunded"), digest=b"other"))


def process_ended(case: Case) -> None:
    case.found.ends = [End("sweep-1", 1, AT, How.BY_ITSELF, ran=True, log=Path("sweep-1"))]


def bug_told(case: Case) -> None:
    case.found.bugs = ["ValueError: something"]


def run_worth_nothing(case: Case) -> None:
    case.found.harness = ["not every wish was said"]


def audit_broken(case: Case) -> None:
    invariant = {"id": 8, "name": "money", "holds": False, "checked": 1, "violations": ["something"]}
    case.found.audit = {"holds": False, "quiescent": True, "invariants": [invariant]}


def audit_silent(case: Case) -> None:
    case.found.audit = {"error": "exit 3"}


MISTAKES: dict[Callable[[Case], None], str] = {
    cancel_not_answered: "no answer",
    cancelled_twice: "two answers",
    cancelled_and_refused: "two answers",
    paid_after_cancelled: "after",
    failed_after_cancelled: "after",
    cancelled_with_money_kept: "money",
    cancelled_with_money_held: "money",
    cancelled_and_not_told: "told",
    cancelled_without_a_word: "status",
    cancel_said_to_have_taken_nothing: "told",
    refused_as_too_late_in_time: "reason",
    refused_for_a_preparation_that_never_was: "reason",
    refused_for_a_dispute_that_never_was: "reason",
    refused_as_failed_though_a_retry_was_open: "reason",
    refused_as_cancelled_by_itself: "reason",
    cancelled_after_the_window: "window",
    cancelled_after_its_preparation_had_begun: "window",
    nobody_asked_for_the_cancel: "cancel",
    overtaken_and_called: "overtaken",
    overtaken_and_reserved: "overtaken",
    cancelled_and_goods_gone: "stock",
    held_for_a_cancelled_order: "goods",
    refund_not_answered: "no answer",
    refunded_twice: "two answers",
    refunded_and_refused: "two answers",
    refunded_more_than_asked: "amount",
    refunded_less_than_asked: "amount",
    refunded_what_nobody_asked: "refund",
    refused_though_enough_is_kept: "reason",
    refused_as_unpaid_though_paid: "reason",
    refused_as_sold_out: "reason",
    gateway_refunded_more: "money",
    gave_back_more_than_taken: "money",
    executed_twice_under_one_key: "money",
    books_differ: "money",
    captured_too_much: "money",
    restocked_twice: "restock",
    restocked_other_units: "restock",
    restocked_nothing: "restock",
    stock_lost: "stock",
    stock_held: "stock",
    sold_more: "stock",
    both_contents_taken: "letter",
    valid_one_a_dead_letter: "letter",
    letter_without_its_copy: "letter",
    letter_on_a_topic_only: "letter",
    letter_with_two_contents: "letter",
    of_nobody_and_forgotten: "letter",
    order_lost: "lost",
    paid_twice: "double",
    in_review: "review",
    request_without_end: "rest",
    something_under_way: "rest",
    copies_differ: "bytes",
    process_ended: "ended",
    bug_told: "bug",
    run_worth_nothing: "harness",
    audit_broken: "audit",
    audit_silent: "audit",
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_one_mistake_is_found(mistake: Callable[[Case], None]) -> None:
    case = right_case()
    mistake(case)
    assert MISTAKES[mistake] in {violation.check for violation in judge(case).violations}


@pytest.mark.parametrize(
    ("forgotten", "found"), [((AT - 10, AT + 60), False), ((AT - 10, AT - 5), True), ((AT + 60, AT + 90), True)]
)
def test_a_restored_database_need_not_know_that_a_cancel_had_waited(
    forgotten: tuple[float, float], *, found: bool
) -> None:
    case = right_case()
    overtaken_and_called(case)
    case.found.forgotten = forgotten
    assert ("overtaken" in {violation.check for violation in judge(case).violations}) is found
