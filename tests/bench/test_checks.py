from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from domain.failure_codes import FailureCode
from domain.ids import OrderId
from domain.operation import GatewayCall, OperationKind, idempotency_key, operation_id
from domain.outcome import Approved, Declined
from tests.bench.checks import Expected, Rows, expected, wrong_counts, wrong_outcomes, wrong_rows
from tests.bench.orders import encoder, make_orders
from tests.bench.stateless import answer
from tests.schemas.builders import AT

KINDS = {"a": "paid", "b": "declined", "c": "short"}
RIGHT = {
    "a": [("PaidAndConfirmed", 1.0)],
    "b": [("PaymentFailed", 1.0)],
    "c": [("PaymentFailed", 1.0)],
}

EMPTY = Rows(
    Counter(), (900, 0, 0), 0, dict.fromkeys(("unfinished operations", "sold holds", "notifications", "voided"), 0)
)
HISTORY = Rows(
    Counter(paid_and_confirmed=700, payment_failed=200, cancelled=100),
    (5_000, 1, 2_000),
    0,
    {"unfinished operations": 3, "sold holds": 650, "notifications": 300, "voided": 40},
)


def test_right_outcomes_raise_no_complaint() -> None:
    assert wrong_outcomes(KINDS, RIGHT) == []


def test_every_wrong_outcome_is_counted() -> None:
    lost = {order: seen for order, seen in RIGHT.items() if order != "a"}
    assert wrong_outcomes(KINDS, lost) == ["1 orders: no outcome"]
    assert wrong_outcomes(KINDS, RIGHT | {"a": [("PaymentFailed", 1.0)]}) == ["1 orders: the wrong outcome"]
    assert wrong_outcomes(KINDS, RIGHT | {"a": RIGHT["a"] * 2}) == ["1 orders: more than one outcome"]
    assert wrong_outcomes(KINDS, RIGHT | {"z": RIGHT["a"]}) == ["1 orders: never published"]


def test_events_are_expected_by_what_a_contestant_does() -> None:
    wanted = expected(KINDS, sent_twice=1)
    assert wanted == Expected(paid=1, declined=1, short=1, sent_twice=1)
    core, whole = wanted.events(reactions=False), wanted.events(reactions=True)
    assert (core["OrderConfirmed"], core["PaymentFailed"], core["CustomerNotificationRequested"]) == (4, 2, 0)
    assert (whole["PaymentVoided"], whole["CustomerNotificationRequested"]) == (1, 2)


def test_too_many_events_are_as_wrong_as_too_few() -> None:
    assert wrong_counts({"A": 2, "B": 0}, {"A": 2, "B": 0}) == []
    assert wrong_counts({"A": 2, "B": 0}, {"A": 3, "B": 1}) == [
        "A: 3 events, expected 2",
        "B: 1 events, expected 0",
    ]


def test_the_workload_is_ninety_five_five_and_the_same_for_a_seed() -> None:
    orders = list(make_orders(200, 1))
    assert orders == list(make_orders(200, 1))
    assert [sum(order.kind == kind for order in orders) for kind in ("paid", "declined", "short")] == [180, 10, 10]
    assert not any(order.slow for order in orders)


def test_as_many_calls_are_slow_as_was_asked_for() -> None:
    orders = list(make_orders(20_000, 1, slow_share=0.01))
    authorize = sum(order.token.endswith("on_authorize") for order in orders)
    capture = sum(order.token.endswith("on_capture") for order in orders)
    assert 150 < authorize < 250
    assert 150 < capture < 250


def test_growing_ids_grow_over_seeds_too_and_are_of_version_seven() -> None:
    ids = [order.order_id for seed in (1, 2) for order in make_orders(200, seed, growing=True)]
    assert ids == sorted(set(ids))
    assert {UUID(order_id).version for order_id in ids} == {7}
    assert [order.kind for order in make_orders(200, 1, growing=True)] == [order.kind for order in make_orders(200, 1)]


def test_every_body_can_be_written() -> None:
    order = next(make_orders(1, 1))
    bodies = [encoder(body, lambda: AT)(order) for body in ("json", "one-record", "contract")]
    assert len(set(bodies)) == 3
    assert all(order.order_id.encode() in body for body in bodies)


def test_the_shared_gateway_answers_by_the_call_alone_and_declines_what_the_simulated_one_declines() -> None:
    approved, declined = answer(_authorize("pm_card_visa")), answer(_authorize("pm_card_chargeDeclined"))
    assert isinstance(approved, Approved)
    assert approved == answer(_authorize("pm_card_visa"))
    assert approved.transaction_id is not None
    assert declined == Declined(FailureCode.CARD_DECLINED, "card_declined", approved.transaction_id)


def _authorize(token: str) -> GatewayCall:
    order, kind = OrderId("o-1"), OperationKind.AUTHORIZE
    operation, key = operation_id(order, 1, kind, 1), idempotency_key(order, 1, kind, 1)
    return GatewayCall(operation, kind, key, order, 1, 2_000, "EUR", token, None, None, AT)


def after(before: Rows, **changed: Any) -> Rows:
    return Rows(
        changed.get("states", before.states + Counter(paid_and_confirmed=1, payment_failed=2)),
        changed.get("stock", (before.stock[0] - 3, before.stock[1], before.stock[2] + 3)),
        changed.get("outbox", 0),
        {
            "unfinished operations": before.counts["unfinished operations"] + changed.get("unfinished", 0),
            "sold holds": before.counts["sold holds"] + 1,
            "notifications": before.counts["notifications"] + 2,
            "voided": before.counts["voided"] + 1,
        },
    )


@pytest.mark.parametrize("before", [EMPTY, HISTORY])
def test_rows_are_right_if_what_came_is_what_the_orders_make(before: Rows) -> None:
    wanted = expected(KINDS)
    assert wrong_rows(before, after(before), wanted, sells=True) == []


def test_an_order_of_the_history_that_changes_is_told() -> None:
    wanted = expected(KINDS)
    states = HISTORY.states + Counter(paid_and_confirmed=1, payment_failed=2, cancelled=1) - Counter(payment_failed=1)
    (told,) = wrong_rows(HISTORY, after(HISTORY, states=states), wanted, sells=True)
    assert told.startswith("order states {'paid_and_confirmed': 1, 'payment_failed': 1, 'cancelled': 1}, expected {")
    assert wrong_rows(HISTORY, after(HISTORY, stock=(4_998, 1, 2_003)), wanted, sells=True) == [
        "stock (available, reserved, sold) moved by [-2, 0, 3], expected 3 taken"
    ]
    assert wrong_rows(HISTORY, after(HISTORY, unfinished=1, outbox=5), wanted, sells=True) == [
        "5 rows left in the outbox",
        "1 unfinished operations, expected 0",
    ]
