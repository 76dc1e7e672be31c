"""Whatever stands in the column `currency`, the views of an order can be shown; a review is shown with its ways out."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deploy.views.list_text import list_lines
from deploy.views.order_text import order_lines
from deploy.views.timeline import facts_of
from domain.ways_out import WAYS
from outbox.operators.queries import OrderRows

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CURRENCIES = st.text() | st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3)
AMOUNTS = st.integers(1, 2**63 - 1)


def order(currency: str, total_minor: int) -> dict[str, Any]:
    return {
        "order_id": "order-1",
        "status": "payment_failed",
        "version": 1,
        "attempt": 1,
        "customer_id": "customer-1",
        "currency": currency,
        "total_minor": total_minor,
        "lines": [["tea", 1]],
        "created_at": NOW,
        "updated_at": NOW,
        "review_reason": None,
        "paid_at": None,
        "preparation_started_at": None,
        "asked": None,
        "reviewed": None,
        "retryable": False,
        "retry_until": None,
    }


def attempt(amount_minor: int) -> dict[str, Any]:
    return {
        "attempt": 1,
        "method_kind": "CARD",
        "authorized_minor": amount_minor,
        "captured_minor": amount_minor,
        "refunded_minor": amount_minor,
        "voided": False,
        "transaction_id": "pi_1",
        "failure_code": None,
    }


def operation(currency: str, amount_minor: int) -> dict[str, Any]:
    return {
        "kind": "authorize",
        "attempt": 1,
        "try_number": 1,
        "tries": 1,
        "reaction": "authorize_payment",
        "amount_minor": amount_minor,
        "currency": currency,
        "state": "approved",
        "opened_at": NOW,
        "settled_at": NOW,
        "unknown_since": None,
        "by": None,
        "request_id": None,
        "reason": None,
        "transaction_id": "pi_1",
        "reference": None,
        "detail": None,
    }


@given(CURRENCIES, AMOUNTS)
def test_any_stored_order_is_shown_and_listed(currency: str, amount_minor: int) -> None:
    row = order(currency, amount_minor)
    stored = OrderRows(
        row, [attempt(amount_minor)], [operation(currency, amount_minor)], [], [], [], [], [], [], [], frozenset()
    )

    for lines in (list(order_lines(stored, [], NOW)), list(list_lines([row], NOW, more=False))):
        digits = str(amount_minor)
        assert any(digits in line.replace(".", "") for line in lines)
        assert not any("\n" in line for line in lines)


@given(CURRENCIES, AMOUNTS)
def test_any_event_that_was_published_is_shown(currency: str, amount_minor: int) -> None:
    assert list(facts_of({"amount_minor": amount_minor, "currency": currency}))


@given(st.sampled_from(sorted(WAYS)))
def test_an_order_under_review_is_shown_and_listed_with_both_ways_out(reason: str) -> None:
    row = order("EUR", 100) | {"status": "manual_review", "reviewed": "confirmed", "review_reason": reason}
    stored = OrderRows(row, [attempt(100)], [operation("EUR", 100)], [], [], [], [], [], [], [], frozenset())
    way = WAYS[reason]

    for lines in (list(order_lines(stored, [], NOW)), list(list_lines([row, row], NOW, more=False))):
        for word, said in (("executed", way.executed), ("not-executed", way.not_executed)):
            assert [line.lstrip() for line in lines if said in line] == [
                line.lstrip() for line in lines if line.lstrip().startswith(f"--as {word}")
            ]
            assert sum(said in line for line in lines) >= 1
