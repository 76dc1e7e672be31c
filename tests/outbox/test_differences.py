"""The comparison of one order with the gateway: which difference has which name, and what is none."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.ids import OrderId
from domain.ports.gateway import Effect, LedgerEntry, RefundState
from outbox.audit.accounts import OurAttempt, OurOrder, OurRefund, Pair, TheirRefund
from outbox.audit.differences import Kind, differences
from outbox.audit.ledger import INVARIANTS

AT = datetime(2026, 3, 1, tzinfo=UTC)
PAID = OurAttempt(1, "pi_1", 500, 500, 0, voided=False)
HELD = OurAttempt(1, "pi_1", 500, 0, 0, voided=False)
VOIDED = OurAttempt(1, "pi_1", 500, 0, 0, voided=True)
RETURNED = OurAttempt(1, "pi_1", 500, 500, 500, voided=False, refund_id="re_1")
NOTHING = OurAttempt(1, "pi_1", 0, 0, 0, voided=False)
PAST_IT = RETURNED._replace(refund_id="outside:SEPA-7", outside=500)
OURS = OurRefund("operation-r", "pi_1", "re_1", approved=True, unfinished=False)
BY_BANK = OurRefund("operation-s", "pi_1", "outside:SEPA-7", approved=True, unfinished=False)
WAITING = OurRefund("operation-r", "pi_1", "re_1", approved=False, unfinished=True)
DONE, PENDING, FAILED = RefundState.SUCCEEDED, RefundState.PENDING, RefundState.FAILED


def order(attempt: OurAttempt, *refunds: OurRefund, **more: Any) -> OurOrder:
    fields = {"status": "paid_and_confirmed", "currency": "EUR", "total": 500, "working": False, "given_up": False}
    return OurOrder("order-1", **{**fields, "returning": 0, "attempts": [attempt], "refunds": refunds, **more})


def entry(*kinds: str, refunded: int = 0, transaction_id: str = "pi_1") -> LedgerEntry:
    captured = 500 if "capture" in kinds else 0
    effects = tuple(Effect(kind, "", AT, 500) for kind in kinds)
    return LedgerEntry(
        transaction_id, OrderId("order-1"), "operation-1", "status", "EUR", 500, captured, refunded, effects
    )


def back(state: RefundState = DONE, refund_id: str = "re_1", amount: int = 500, by: str | None = None) -> TheirRefund:
    return TheirRefund(refund_id, "pi_1", by, state, amount)


def kinds(ours: OurOrder, theirs: LedgerEntry | None, refunds: Sequence[TheirRefund] | None = ()) -> list[Kind]:
    return [d.kind for d in differences(Pair("order-1", ours, [theirs] if theirs else [], refunds))]


TAKEN = entry("authorize", "capture")
GIVEN_BACK = entry("authorize", "capture", refunded=500)
SAME = [
    (order(PAID), TAKEN, ()),
    (order(HELD), entry("authorize"), ()),
    (order(VOIDED), entry("authorize", "cancel"), ()),
    (order(RETURNED, OURS), TAKEN, (back(),)),
    (order(RETURNED._replace(refund_id=None), OURS._replace(reference=None)), TAKEN, (back(by="operation-r"),)),
    # Somebody else refunded, and we have booked it.
    (order(RETURNED._replace(refund_id="re_9")), TAKEN, (back(refund_id="re_9", state=PENDING),)),
    # We wait for a refund: whether the gateway has finished it or not.
    (order(PAID, WAITING, returning=500), TAKEN, (back(state=PENDING),)),
    (order(PAID, WAITING, returning=500), TAKEN, (back(),)),
    (order(PAID, WAITING, returning=500), TAKEN, (back(state=FAILED),)),
    # We cancelled what nobody had decided on, and the gateway approved it just before.
    (order(VOIDED._replace(authorized=0)), entry("authorize", "cancel"), ()),
    # An operator paid it back past the gateway, which had refused the refund.
    (order(PAST_IT, BY_BANK), TAKEN, (back(state=FAILED),)),
    (order(PAST_IT, BY_BANK), TAKEN, None),
    # It was in another currency, and all of it is back.
    (order(NOTHING, currency="USD", status="payment_failed"), GIVEN_BACK, (back(),)),
    (order(NOTHING, currency="USD", status="payment_failed"), entry("authorize", "cancel"), ()),
    # The lists do not reach back to the attempt, and show one of its refunds only.
    (order(PAID._replace(listed=False)), None, ()),
    (order(RETURNED._replace(listed=False), OURS), None, (back(amount=200),)),
]


@pytest.mark.parametrize(("ours", "theirs", "refunds"), SAME)
def test_what_both_sides_have_is_no_difference(
    ours: OurOrder, theirs: LedgerEntry | None, refunds: Sequence[TheirRefund]
) -> None:
    assert kinds(ours, theirs, refunds) == []


OTHER = [
    (order(PAID), entry("authorize"), (), [Kind.CAPTURED]),
    (order(HELD), TAKEN, (), [Kind.CAPTURED]),
    (order(HELD), entry("authorize", "cancel"), (), [Kind.HOLD_GONE]),
    (order(VOIDED), entry("authorize"), (), [Kind.STILL_HELD]),
    (order(HELD, status="payment_failed"), entry("authorize"), (), [Kind.STILL_HELD]),
    (order(PAID), None, (), [Kind.TRANSACTION_MISSING]),
    (order(PAID, currency="USD"), TAKEN, (), [Kind.CURRENCY]),
    (order(PAID, currency="USD"), GIVEN_BACK, (back(),), [Kind.CURRENCY]),
    (order(NOTHING, currency="USD"), entry("authorize"), (), [Kind.CURRENCY]),
    # It was paid back past the gateway and then by it as well.
    (order(PAST_IT, BY_BANK), TAKEN, (back(refund_id="re_2"),), [Kind.REFUNDED_ELSEWHERE]),
    (order(PAST_IT, BY_BANK), GIVEN_BACK, None, [Kind.REFUNDED]),
    (order(PAID, total=499), TAKEN, (), [Kind.KEPT_TOO_MUCH]),
    (order(PAID), TAKEN, (back(amount=1),), [Kind.REFUNDED_ELSEWHERE]),
    (order(PAID), TAKEN, (back(state=PENDING),), [Kind.REFUNDED_ELSEWHERE]),
    (order(RETURNED, OURS), TAKEN, (back(state=FAILED),), [Kind.REFUND_FAILED]),
    (order(RETURNED, OURS), TAKEN, (back(amount=499),), [Kind.REFUNDED]),
    (order(RETURNED, OURS), TAKEN, (), [Kind.REFUNDED, Kind.REFUND_MISSING]),
    (order(RETURNED, OURS), TAKEN, (back(refund_id="re_2"),), [Kind.REFUND_MISSING]),
    (order(PAID, WAITING, returning=500), TAKEN, (back(), back(refund_id="re_2", amount=1)), [Kind.REFUNDED_ELSEWHERE]),
    # A late refund of a transaction that the lists do not reach back to.
    (order(PAID._replace(listed=False)), None, (back(amount=1),), [Kind.REFUNDED_ELSEWHERE]),
]


@pytest.mark.parametrize(("ours", "theirs", "refunds", "found"), OTHER)
def test_what_differs_has_its_name(
    ours: OurOrder, theirs: LedgerEntry | None, refunds: Sequence[TheirRefund], found: list[Kind]
) -> None:
    assert kinds(ours, theirs, refunds) == found


def test_an_order_paid_back_past_the_gateway_and_paid_by_another_method_is_captured_once() -> None:
    attempts = [PAST_IT, OurAttempt(2, "pi_2", 500, 500, 0, voided=False)]
    both = [TAKEN, entry("authorize", "capture", transaction_id="pi_2")]
    both[1] = replace(both[1], operation_id="operation-2")
    pair = Pair("order-1", order(PAST_IT, BY_BANK, attempts=attempts), both, (back(state=FAILED),))
    assert list(differences(pair)) == []


def test_a_second_transaction_of_the_same_operation_is_strange_captured_twice_and_too_much() -> None:
    pair = Pair("order-1", order(PAID), [TAKEN, entry("authorize", "capture", transaction_id="pi_2")], ())
    assert {d.kind for d in differences(pair)} == {
        Kind.KEPT_TWICE,
        Kind.KEPT_TOO_MUCH,
        Kind.AUTHORIZED_TWICE,
        Kind.TRANSACTION_UNKNOWN,
    }


def test_a_declined_transaction_that_no_attempt_knows_has_moved_nothing() -> None:
    assert kinds(order(PAID), entry(transaction_id="pi_2")) == [Kind.TRANSACTION_MISSING]


def test_a_transaction_that_may_still_be_approved_is_told() -> None:
    pair = Pair("order-1", order(PAID), [TAKEN, entry(transaction_id="pi_2")], (), frozenset({"pi_2"}))
    assert [(d.kind, d.transaction_id) for d in differences(pair)] == [(Kind.UNDECIDED, "pi_2")]


def test_money_and_refunds_of_an_order_that_we_do_not_know_are_told() -> None:
    taken = [(d.kind, d.kept) for d in differences(Pair("nobody", None, [TAKEN, entry(transaction_id="pi_2")], ()))]
    assert taken == [(Kind.ORDER_UNKNOWN, 500)]
    late = [(d.kind, d.refund_id, d.theirs) for d in differences(Pair("nobody", None, [], (back(),)))]
    assert late == [(Kind.ORDER_UNKNOWN, "re_1", 500)]


def test_a_ledger_without_a_list_of_refunds_is_compared_by_its_sums() -> None:
    assert kinds(order(RETURNED, OURS), entry("authorize", "capture", refunded=500), None) == []
    assert kinds(order(RETURNED, OURS), TAKEN, None) == [Kind.REFUNDED]


def test_every_kind_is_judged_by_the_audit() -> None:
    assert set(INVARIANTS) == set(Kind)


def test_a_transaction_of_no_attempt_is_a_difference_once_a_bank_approved_it() -> None:
    approved = entry("authorize", "cancel", transaction_id="pi_other")
    cancelled_before = entry("cancel", transaction_id="pi_other")
    nobody_told = NOTHING._replace(transaction_id=None)
    assert kinds(order(nobody_told, status="cancelled"), approved) == [Kind.TRANSACTION_UNKNOWN]
    assert kinds(order(nobody_told, status="cancelled"), cancelled_before) == []
