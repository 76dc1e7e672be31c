"""The database makes the profiles of orders, and counts violations: random rows show that it does so rightly."""

import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest

from deploy.kafka_topics import GROUPS
from domain.operation import OperationKind, OperationState
from domain.order import HoldState, Status
from outbox.audit import Report, Scope, audit
from outbox.audit.books import Books
from outbox.audit.profiles import AttemptSummary, EventSummary, HoldSummary, OperationSummary, Profile, read_profiles
from outbox.audit.report import VIOLATIONS_KEPT_MAX
from outbox.driver.conninfo import libpq_url
from outbox.schema.migrations import upgrade
from schemas.codec import Codec
from schemas.models import EVENTS

pytestmark = pytest.mark.integration

SCOPE: Final = Scope(Codec(), GROUPS)
AT: Final = datetime(2026, 11, 1, tzinfo=UTC)
DONE: Final = (OperationState.APPROVED, OperationState.DECLINED, OperationState.NOT_EXECUTED)
ORDERS: Final = 300
MANY: Final = VIOLATIONS_KEPT_MAX + 500

Connection = psycopg.AsyncConnection[Any]
Owner = tuple[int, str]
"""The number and the id that a row has."""


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    upgrade(database_url)
    async with await psycopg.AsyncConnection.connect(libpq_url(database_url), autocommit=True) as made:
        await made.execute("SELECT inbox_make_day(current_date)")
        yield made


async def add(connection: Connection, table: str, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    names = list(rows[0])
    marks = ", ".join(["%s"] * len(names))
    statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"
    async with connection.cursor() as cursor:
        await cursor.executemany(statement.encode(), [list(row.values()) for row in rows])


def order_row(owner: Owner, status: str = "confirmed", version: int = 0, attempt: int = 1) -> dict[str, Any]:
    return {
        "order_number": owner[0],
        "order_id": owner[1],
        "status": status,
        "version": version,
        "attempt": attempt,
        "customer_id": "c",
        "correlation_id": "c",
        "currency": "EUR",
        "total_minor": 7,
        "lines": "[]",
        "content_hash": b"",
        "retryable": False,
        "delay_notified": False,
        "resends": 0,
        "created_at": AT,
        "updated_at": AT,
    }


def attempt_row(owner: Owner, number: int, money: tuple[int, int, int], *, voided: bool = False) -> dict[str, Any]:
    authorized, captured, refunded = money
    return {
        "order_number": owner[0],
        "order_id": owner[1],
        "attempt": number,
        "method_kind": "CARD",
        "authorized_minor": authorized,
        "captured_minor": captured,
        "refunded_minor": refunded,
        "voided": voided,
        "livemode": False,
    }


class Drawn:
    """Random rows of many orders, and the profile that each order has by them."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.expected: dict[Owner, Profile] = {}
        for number in range(1, ORDERS + 1):
            owner = (number, f"order-{self._draw.randrange(10**6)}-{number}")
            self.expected[owner] = self._order(owner)

    def _order(self, owner: Owner) -> Profile:
        draw = self._draw
        status = draw.choice(list(Status))
        version, attempt = draw.randint(0, 4), draw.randint(1, 2)
        known = draw.random() > 0.1
        if known:
            self.rows["orders"].append(order_row(owner, status, version, attempt))
        parts = (self._events(owner), self._attempts(owner), self._operations(owner), self._holds(owner))
        if not known and not any(parts):
            self.rows["orders"].append(order_row(owner, status, version, attempt))
            known = True
        events, attempts, operations, holds = parts
        return Profile(
            status=status if known else None,
            version=version if known else 0,
            attempt=attempt if known else 0,
            free=False,
            reviewed=None,
            has_reason=False,
            waits=False,
            cancelling=False,
            events=events,
            attempts=attempts,
            operations=operations,
            holds=holds,
        )

    def _events(self, owner: Owner) -> tuple[EventSummary, ...]:
        chosen = self._draw.sample([(v, n) for v in range(1, 5) for n in range(3)], self._draw.randint(0, 5))
        found = [EventSummary(v, n, self._draw.choice(sorted(EVENTS))) for v, n in chosen]
        for event in found:
            self.rows["event"].append(
                {
                    "order_number": owner[0],
                    "order_id": owner[1],
                    "event_id": self._uuid(),
                    "occurred_at": AT,
                    "order_version": event.version,
                    "ordinal": event.ordinal,
                    "topic": event.type,
                }
            )
        return tuple(sorted(found))

    def _attempts(self, owner: Owner) -> tuple[AttemptSummary, ...]:
        found = []
        for number in self._draw.sample([1, 2, 3], self._draw.randint(0, 3)):
            money = (self._draw.randint(0, 2), self._draw.randint(0, 2), self._draw.randint(0, 2))
            voided = self._draw.random() < 0.5
            self.rows["attempt"].append(attempt_row(owner, number, money, voided=voided))
            found.append(
                AttemptSummary(
                    number,
                    authorized=money[0] > 0,
                    captured=money[1] > 0,
                    refunded=money[2] > 0,
                    keeps=money[1] > money[2],
                    voided=voided,
                    not_taken=False,
                    asked=False,
                )
            )
        return tuple(sorted(found))

    def _operations(self, owner: Owner) -> tuple[OperationSummary, ...]:
        found = []
        for opened, kind in enumerate(self._draw.sample(list(OperationKind), self._draw.randint(0, 4))):
            at = AT + timedelta(seconds=self._draw.choice([opened, -opened]))
            state, lapsed = self._draw.choice(DONE), self._draw.random() < 0.2
            self.rows["operation"].append(
                {
                    "order_number": owner[0],
                    "order_id": owner[1],
                    "attempt": 1,
                    "kind": kind,
                    "try_number": 1,
                    "for_request": "",
                    "operation_id": self._uuid(),
                    "reaction": "r",
                    "amount_minor": 1,
                    "currency": "EUR",
                    "opened_at": at,
                    "state": state,
                    "tries": 1,
                    "replayed": False,
                    "detail": "lapsed" if lapsed else None,
                }
            )
            found.append((at, OperationSummary(1, kind, state, lapsed, elsewhere=False)))
        return tuple(operation for _, operation in sorted(found, key=lambda part: (part[0], part[1].kind)))

    def _holds(self, owner: Owner) -> tuple[HoldSummary, ...]:
        states = list(HoldState)
        found = [
            HoldSummary(number, self._draw.choice(states), self._draw.random() < 0.5)
            for number in self._draw.sample([1, 2], self._draw.randint(0, 2))
        ]
        for hold in found:
            self.rows["reservation"].append(
                {
                    "order_number": owner[0],
                    "order_id": owner[1],
                    "attempt": hold.attempt,
                    "state": hold.state,
                    "reservation_id": self._uuid(),
                    "expires_at": AT,
                    "pinned": hold.pinned,
                }
            )
        return tuple(sorted(found))

    def _uuid(self) -> UUID:
        return UUID(int=self._draw.getrandbits(128), version=4)


@pytest.mark.parametrize("seed", range(3))
async def test_profiles_of_random_orders_are_those_of_their_rows(connection: Connection, seed: int) -> None:
    drawn = Drawn(seed)
    for table, rows in drawn.rows.items():
        await add(connection, table, rows)
    async with connection.transaction():
        groups = [group async for group in read_profiles(Books(connection, SCOPE), ORDERS)]
    found = {order_id: group.profile for group in groups for order_id in group.examples}
    assert found == {owner[1]: profile for owner, profile in drawn.expected.items()}
    assert sum(group.orders for group in groups) == ORDERS


async def many_found(connection: Connection) -> Report:
    report = await audit(connection, SCOPE)
    for invariant in report.invariants:
        assert len(invariant.violations) <= VIOLATIONS_KEPT_MAX + 1
    return report


async def test_very_many_amounts_out_of_bounds_are_counted_and_the_first_are_named(connection: Connection) -> None:
    owners = [(number, f"order-{number}") for number in range(MANY)]
    await add(connection, "orders", [order_row(owner) for owner in owners])
    await add(connection, "attempt", [attempt_row(owner, 1, (1, 8, 0)) for owner in owners])
    found = (await many_found(connection)).invariants[0]
    assert found.found == 2 * MANY  # of each its bounds, and that more is kept than it costs
    assert found.violations[-1] == f"and {2 * MANY - VIOLATIONS_KEPT_MAX} more"


async def test_very_many_skus_that_do_not_add_up_are_counted_and_the_first_are_named(connection: Connection) -> None:
    stock = [{"sku": f"SKU-{number}", "available": 5, "reserved": 0, "sold": 0} for number in range(MANY)]
    await add(connection, "stock", stock)
    found = (await many_found(connection)).invariants[3]
    assert (found.found, found.violations[-1]) == (MANY, f"and {MANY - VIOLATIONS_KEPT_MAX} more")
