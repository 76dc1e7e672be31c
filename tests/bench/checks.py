"""Whether a contestant did its work: one right outcome an order, every event once, stock that adds up, no leftovers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from tests.bench.orders import PER_UNITS


@dataclass(frozen=True, slots=True)
class Expected:
    """What is to have happened: orders by kind, and how many of them were sent twice."""

    paid: int
    declined: int
    short: int
    sent_twice: int = 0

    @property
    def failed(self) -> int:
        """Orders that are not paid."""
        return self.declined + self.short

    @property
    def orders(self) -> int:
        """All of them."""
        return self.paid + self.failed

    def events(self, *, reactions: bool) -> dict[str, int]:
        """Count the events of each topic."""
        return {
            "OrderConfirmed": self.orders + self.sent_twice,
            "PaymentAuthorized": self.paid + self.short,
            "ItemsReserved": self.paid,
            "ReservationFailed": self.short,
            "PaidAndConfirmed": self.paid,
            "PaymentFailed": self.failed,
            "PaymentVoided": self.short if reactions else 0,
            "ReservationReleased": 0,  # nothing is ever held when a reservation fails
            "CustomerNotificationRequested": self.failed if reactions else 0,
        }


def expected(kinds: Mapping[str, str], sent_twice: int = 0) -> Expected:
    """Count what was published. kinds: order id -> kind."""
    count = Counter(kinds.values())
    return Expected(count["paid"], count["declined"], count["short"], sent_twice)


def wrong_outcomes(kinds: Mapping[str, str], seen: Mapping[str, Sequence[tuple[str, float]]]) -> list[str]:
    """Say what is wrong with the outcomes that an outside consumer saw."""
    complaints = {
        "no outcome": sum(order not in seen for order in kinds),
        "more than one outcome": sum(len(outcomes) > 1 for outcomes in seen.values()),
        "the wrong outcome": sum(
            (outcomes[0][0] == "PaidAndConfirmed") != (kinds[order] == "paid")
            for order, outcomes in seen.items()
            if order in kinds
        ),
        "never published": sum(order not in kinds for order in seen),
    }
    return [f"{count} orders: {what}" for what, count in complaints.items() if count]


def wrong_counts(wanted: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """Say which topics hold more or fewer events than they should."""
    return [
        f"{event}: {found[event]} events, expected {count}"
        for event, count in wanted.items()
        if found.get(event, 0) != count
    ]


Connection = psycopg.Connection[tuple[object, ...]]
_OF_OURS: Final = {
    "unfinished operations": "SELECT count(*) FROM operation WHERE state IN ('open', 'pending', 'unknown')",
    "dead letters": "SELECT count(*) FROM dead_letter",
    "sold holds": "SELECT count(*) FROM reservation WHERE state = 'sold'",
    "other holds": "SELECT count(*) FROM reservation WHERE state <> 'sold'",
    "notifications": "SELECT count(*) FROM notification",
    "captured": "SELECT count(*) FROM attempt WHERE captured_minor > 0 AND refunded_minor = 0",
    "voided": "SELECT count(*) FROM attempt WHERE voided",
}
_OF_OTHERS: Final = {"units held": "SELECT coalesce(sum(qty), 0) FROM reservation"}


@dataclass(frozen=True, slots=True)
class Rows:
    """What the database holds. states: orders by status; stock: units available, reserved, sold; counts: by name."""

    states: Counter[str]
    stock: tuple[int, int, int]
    outbox: int
    counts: Mapping[str, int]


def read_rows(connection: Connection, *, ours: bool) -> Rows:
    """Count what the check is about."""
    found = connection.execute("SELECT status, count(*) FROM orders GROUP BY 1").fetchall()
    stock = connection.execute("SELECT sum(available), sum(reserved), sum(sold) FROM stock").fetchone()
    assert stock is not None
    available, reserved, sold = (int(str(value)) for value in stock)
    return Rows(
        Counter({str(status): int(str(count)) for status, count in found}),
        (available, reserved, sold),
        count_outbox(connection),
        {what: _number(connection, query) for what, query in (_OF_OURS if ours else _OF_OTHERS).items()},
    )


def wrong_rows(before: Rows, after: Rows, wanted: Expected, *, sells: bool) -> list[str]:
    """Say what is wrong in the database. before: what it held when nothing had been published.

    sells: a paid order's goods are sold in the end, not only reserved.
    """
    bad = []
    states = Counter(after.states)
    states.subtract(before.states)
    came = {state: count for state, count in states.items() if count}
    right = {"paid_and_confirmed": wanted.paid, "payment_failed": wanted.failed}
    if came != {state: count for state, count in right.items() if count}:
        bad.append(f"order states {came}, expected {right}")
    taken = PER_UNITS * wanted.paid
    moved = [now - then for now, then in zip(after.stock, before.stock, strict=True)]
    if moved != [-taken, *((0, taken) if sells else (taken, 0))]:
        bad.append(f"stock (available, reserved, sold) moved by {moved}, expected {taken} taken")
    if after.outbox:
        bad.append(f"{after.outbox} rows left in the outbox")
    counts = {
        "sold holds": wanted.paid,
        "notifications": wanted.failed,
        "captured": wanted.paid,
        "voided": wanted.short,
        "units held": taken,
    }
    found = [(what, count - before.counts[what], counts.get(what, 0)) for what, count in after.counts.items()]
    return bad + [f"{count} {what}, expected {expected}" for what, count, expected in found if count != expected]


def count_outbox(connection: Connection) -> int:
    """Count what is still to be sent; 0 where there is no outbox."""
    there = connection.execute("SELECT to_regclass('outbox') IS NOT NULL").fetchone()
    return _number(connection, "SELECT count(*) FROM outbox") if there and there[0] else 0


def progress(connection: Connection) -> tuple[int, int]:
    """Return what changes whenever an order does: how many there are, and their versions added up."""
    return (
        _number(connection, "SELECT count(*) FROM orders"),
        _number(connection, "SELECT coalesce(sum(version), 0) FROM orders"),
    )


def _number(connection: Connection, question: str) -> int:
    row = connection.execute(question.encode()).fetchone()
    return int(str(row[0])) if row else 0
