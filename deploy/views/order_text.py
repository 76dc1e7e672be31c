"""Orders for people: align columns, money as money, times with the time that has passed."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import click

from deploy.views.order_json import attempt_status
from deploy.views.tables import align, table
from deploy.views.terminal import visible
from deploy.views.timeline import JournalEvent, timeline
from deploy.views.times import ago, later, moment
from domain.operation import UNFINISHED, OperationKind
from domain.order import Status
from domain.pending import AT_CUSTOMER
from domain.requests import RequestKind
from domain.ruling import Word
from domain.ways_out import WAYS
from outbox.operators.queries import OrderRows, Record
from schemas.money import Money

COLOURS = {"paid_and_confirmed": "green", "payment_failed": "red", "manual_review": "magenta", "cancelled": "red"}
NOTHING = "-"
ALL_KEPT = "all"


def order_lines(stored: OrderRows, events: Sequence[JournalEvent], now: datetime) -> Iterator[str]:
    """Show an order: where it stands, its attempts, its holds, and the timeline."""
    order = stored.order
    total = Money(order["total_minor"], order["currency"])
    yield f"{click.style(visible(order['order_id']), bold=True)}  {_coloured(order['status'])}  {visible(str(total))}"
    yield ""
    yield from align([*_about(order, now), *_asked(stored, now)])
    yield ""
    yield from _headed("attempts", _attempts(stored))
    if stored.holds:
        yield from _headed("reservations", _holds(stored))
    if stored.disputes:
        yield from _headed("disputes", _disputes(stored))
    if stored.requests:
        yield from _headed("requests", _requests(stored))
    yield click.style("timeline", bold=True)
    entries = timeline(stored, events)
    start = entries[0].at
    yield from align(
        [(f"{e.at:%Y-%m-%d %H:%M:%S.%f}"[:-3], later(e.at - start), e.who, e.what, e.details) for e in entries],
        right=frozenset({1}),
    )


def _about(order: Record, now: datetime) -> Iterator[tuple[str, str]]:
    yield "customer", order["customer_id"]
    yield "lines", ", ".join(f"{quantity} x {sku}" for sku, quantity in order["lines"])
    yield "received", f"{moment(order['created_at'])} UTC, {ago(now - order['created_at'])}"
    yield "changed", f"{moment(order['updated_at'])} UTC, {ago(now - order['updated_at'])}; version {order['version']}"
    if order["review_reason"]:
        yield "review", f"{order['review_reason']} (it was {order['reviewed']})"
        if (way := WAYS.get(order["review_reason"])) is not None:
            yield f"--as {Word.EXECUTED}", way.executed
            yield f"--as {Word.NOT_EXECUTED}", way.not_executed
    if order["retryable"] and order["retry_until"]:
        yield "retry", f"with another method until {moment(order['retry_until'])} UTC"


def _asked(stored: OrderRows, now: datetime) -> Iterator[tuple[str, str]]:
    """Say for whom the order waits since its customer was asked, and how long the customer may confirm the payment."""
    if stored.order["status"] != Status.ACTION_REQUIRED:
        return
    expires_at = stored.attempts[-1]["action_expires_at"]
    waiting = next((row for row in stored.operations if row["state"] in UNFINISHED), None)
    if waiting is None or waiting["detail"] == AT_CUSTOMER:
        ended = "" if now < expires_at else ", which is over: the gateway is asked once more, then it is cancelled"
        yield "waits", f"for the customer to confirm it with their bank, until {moment(expires_at)} UTC{ended}"
    elif waiting["kind"] == OperationKind.AUTHORIZE:
        yield "waits", "for the bank: the customer has done their part"
    else:
        yield "waits", "for the gateway, to cancel or refund it"


def _attempts(stored: OrderRows) -> list[str]:
    currency = stored.order["currency"]
    heads = ("#", "status", "method", "authorized", "captured", "refunded", "transaction", "failure")
    rows = [
        (
            str(row["attempt"]),
            attempt_status(stored.order, row),
            row["method_kind"],
            *(_money(row[name], currency) for name in ("authorized_minor", "captured_minor", "refunded_minor")),
            (row["transaction_id"] or NOTHING) + (" (voided)" if row["voided"] else ""),
            row["failure_code"] or NOTHING,
        )
        for row in stored.attempts
    ]
    return table(heads, rows, right=frozenset({3, 4, 5}))


def _holds(stored: OrderRows) -> list[str]:
    heads = ("#", "state", "until", "reservation")
    rows = [
        (
            str(row["attempt"]),
            row["state"],
            "pinned" if row["pinned"] and row["state"] == "held" else moment(row["expires_at"]),
            str(row["reservation_id"]),
        )
        for row in stored.holds
    ]
    return table(heads, rows)


def _disputes(stored: OrderRows) -> list[str]:
    heads = ("#", "dispute", "status", "amount", "money", "refund", "reason", "opened")
    rows = [
        (
            str(row["attempt"]),
            row["dispute_id"],
            row["status"],
            _money(row["amount_minor"], row["currency"]),
            "withdrawn" if row["funds_withdrawn"] else "ours",
            "possible" if row["refundable"] else "refused",
            row["reason"],
            moment(row["opened_at"]),
        )
        for row in stored.disputes
    ]
    return table(heads, rows, right=frozenset({3}))


def _requests(stored: OrderRows) -> list[str]:
    currency = stored.order["currency"]
    heads = ("kind", "request", "state", "asked", "taken", "by", "reason")
    rows = [
        (
            row["kind"],
            row["request_id"],
            f"{row['state']}: {row['refused']}" if row["refused"] else row["state"],
            ALL_KEPT
            if row["kind"] == RequestKind.REFUND and row["amount_minor"] is None
            else _money(row["amount_minor"] or 0, currency),
            _money(row["taken_minor"] or 0, currency),
            row["requested_by"] + (f" ({row['operator']})" if row["operator"] else ""),
            row["reason"],
        )
        for row in stored.requests
    ]
    return table(heads, rows, right=frozenset({3, 4}))


def _headed(head: str, lines: Sequence[str]) -> Iterator[str]:
    yield click.style(head, bold=True)
    yield from lines
    yield ""


def _money(amount_minor: int, currency: str) -> str:
    return str(Money(amount_minor, currency)) if amount_minor else NOTHING


def _coloured(status: str) -> str:
    return click.style(status, fg=COLOURS.get(status, "yellow"))
