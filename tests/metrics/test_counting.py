"""What is counted of a decision: outcomes by reason, and the time to the first one, by the order's own clock."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from deploy.metrics.counting import Counting, review_label
from deploy.metrics.metric import known
from deploy.metrics.numbers import Numbers
from domain.alarms import ALARMS
from domain.opening import begin_order
from domain.order import Order, Status
from domain.ports.metering import Written
from domain.ports.store import Change, Changes
from domain.rules import Context, Rules
from domain.values import replace
from schemas.events import OwnEvent
from tests.domain.builders import AT, CAUSE, ORDER_ID, attempt, later, order
from tests.schemas import builders as events

AFTER_S = 7.0
CONFIRMED = {"order_id": ORDER_ID}


def samples(numbers: Numbers) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in numbers.collect()
        for sample in family.samples
    }


def counted(before: Order | None, after: Order, *told: OwnEvent) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    numbers = Numbers()
    changes = Changes(orders=[Change(before, after)], events=list(told))
    Counting(numbers, "").committed(Written(later(AFTER_S), 0.01, [changes], [], []))
    return samples(numbers)


def times(found: dict[Any, float]) -> dict[tuple[str, str], float]:
    """Return the seconds by outcome and whether somebody else was waited for."""
    return {
        (dict(labels)["outcome"], dict(labels)["waited"]): value
        for (name, labels), value in found.items()
        if name == "payments_order_outcome_seconds_sum"
    }


def outcomes(found: dict[Any, float]) -> dict[tuple[str, str], float]:
    """Return how often each outcome was counted, by outcome and reason."""
    return {
        (dict(labels)["outcome"], dict(labels)["reason"]): value
        for (name, labels), value in found.items()
        if name == "payments_orders_total" and value
    }


def paid(**fields: Any) -> Order:
    return order(Status.PAID_AND_CONFIRMED, confirmed_at=AT, **fields)


def test_the_time_to_the_outcome_counts_from_the_record_on_the_topic() -> None:
    before = order(Status.ITEMS_RESERVED)
    assert times(counted(before, paid(), events.paid_and_confirmed(**CONFIRMED))) == {
        ("paid_and_confirmed", "no"): AFTER_S
    }


def test_of_an_order_of_an_older_release_it_counts_from_when_we_first_saw_it() -> None:
    after = replace(paid(), confirmed_at=None, created_at=later(2))
    assert times(counted(order(), after, events.paid_and_confirmed(**CONFIRMED))) == {("paid_and_confirmed", "no"): 5.0}


@pytest.mark.parametrize(
    "waited", [attempt(method_kind="BANK"), attempt(action_expires_at=AT)], ids=["a bank", "the customer"]
)
def test_an_order_that_waited_for_somebody_else_is_told_apart(waited: Any) -> None:
    after = paid(attempts=(waited,))
    assert list(times(counted(order(), after, events.paid_and_confirmed(**CONFIRMED)))) == [
        ("paid_and_confirmed", "yes")
    ]


def test_only_the_first_outcome_has_a_time() -> None:
    failed = order(Status.PAYMENT_FAILED)
    second = order(Status.ITEMS_RESERVED, attempt(), attempt(2))
    told = events.paid_and_confirmed(**CONFIRMED)
    for before, after in ((failed, paid()), (second, paid(attempts=(attempt(), attempt(2)), attempt=2))):
        found = counted(before, after, told)
        assert times(found) == {}
        labels = frozenset({("outcome", "paid_and_confirmed"), ("reason", "none")})
        assert found["payments_orders_total", labels] == 1


@pytest.mark.parametrize("reviewed", [Status.CONFIRMED, Status.PAID_AND_CONFIRMED])
def test_an_order_counts_when_its_review_begins_and_no_second_time_when_a_person_ends_it(reviewed: Status) -> None:
    review = order(Status.MANUAL_REVIEW, reviewed=reviewed, review_reason="refund_failed")
    begun = counted(order(), review, events.payment_review_required(**CONFIRMED, reason="refund_failed"))
    assert outcomes(begun) == {("manual_review", "refund_failed"): 1}
    ended = counted(review, order(Status.PAYMENT_FAILED), events.payment_failed(**CONFIRMED))
    assert outcomes(ended) == {}
    assert times(ended) == {}


def test_a_failure_counts_by_its_code_and_a_code_of_a_newer_release_as_other() -> None:
    for code, label in (("card_expired", "card_expired"), ("of_tomorrow", "other")):
        told = events.payment_failed(**CONFIRMED, failure_code=code)
        found = counted(order(), order(Status.PAYMENT_FAILED), told)
        labels = frozenset({("outcome", "payment_failed"), ("reason", label)})
        assert found["payments_orders_total", labels] == 1


def test_every_reason_of_a_review_has_a_label_of_its_own() -> None:
    reasons = [reason.removeprefix("review_") for reason in ALARMS if reason.startswith("review_")]
    assert [review_label(reason) for reason in reasons] == reasons
    assert review_label("of_tomorrow") == known("x", []) == "other"


@pytest.mark.parametrize(
    ("recorded_s", "confirmed_s"),
    [(-10, -10), (-60, -30), (3_600, 0), (None, -30)],
    ids=["as recorded", "never before it occurred", "never in the future", "without a time-stamp"],
)
def test_an_order_came_when_its_record_says_so_within_reason(recorded_s: float | None, confirmed_s: float) -> None:
    def at(seconds: float | None) -> datetime | None:
        return None if seconds is None else AT + timedelta(seconds=seconds)

    event = events.order_confirmed(occurred_at=at(-30))
    begun = begin_order(event, Context(AT, CAUSE, Rules(), recorded_at=at(recorded_s)))
    assert begun.confirmed_at == at(confirmed_s)
