"""Whether a contestant did its work: one right outcome an order, every event once, stock that adds up, no leftovers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg

from tests.bench.orders import PER_UNITS
from tests.bench.peers import common

STOCK_UNITS = (common.SKUS - common.EMPTY_SKUS) * common.STOCK_EACH


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


def wrong_rows(connection: Connection, wanted: Expected, *, ours: bool, sells: bool) -> list[str]:
    """Say what is wrong in the database. sells: a paid order's goods are sold in the end, not only reserved."""
    bad = []
    found = connection.execute("SELECT status, count(*) FROM orders GROUP BY 1").fetchall()
    states = {str(status): count for status, count in found}
    right = {"paid_and_confirmed": wanted.paid, "payment_failed": wanted.failed}
    if states != {state: count for state, count in right.items() if count}:
        bad.append(f"order states {states}, expected {right}")
    taken = PER_UNITS * wanted.paid
    stock = connection.execute("SELECT sum(available), sum(reserved), sum(sold) FROM stock").fetchone()
    assert stock is not None
    units = [int(str(value)) for value in stock]
    if units != [STOCK_UNITS - taken, *((0, taken) if sells else (taken, 0))]:
        bad.append(f"stock (available, reserved, sold) {units}, expected {taken} of {STOCK_UNITS} taken")
    if left := count_outbox(connection):
        bad.append(f"{left} rows left in the outbox")
    return bad + (_wrong_rows_of_ours(connection, wanted) if ours else _wrong_holds(connection, taken))


def _wrong_holds(connection: Connection, taken: int) -> list[str]:
    held = _number(connection, "SELECT coalesce(sum(qty), 0) FROM reservation")
    return [f"reservations hold {held} units, expected {taken}"] if held != taken else []


def _wrong_rows_of_ours(connection: Connection, wanted: Expected) -> list[str]:
    questions = (
        ("unfinished operations", "SELECT count(*) FROM operation WHERE state IN ('open', 'pending', 'unknown')", 0),
        ("dead letters", "SELECT count(*) FROM dead_letter", 0),
        ("sold holds", "SELECT count(*) FROM reservation WHERE state = 'sold'", wanted.paid),
        ("other holds", "SELECT count(*) FROM reservation WHERE state <> 'sold'", 0),
        ("notifications", "SELECT count(*) FROM notification", wanted.failed),
        ("captured", "SELECT count(*) FROM attempt WHERE captured_minor > 0 AND refunded_minor = 0", wanted.paid),
        ("voided", "SELECT count(*) FROM attempt WHERE voided", wanted.short),
    )
    found = [(what, _number(connection, question), right) for what, question, right in questions]
    return [f"{count} {what}, expected {right}" for what, count, right in found if count != right]


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
