"""An order keeps its requests: they are written and read with it, and orders without any cost no statement more."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from domain.ids import EventId, OrderId
from domain.order import Order, OrderLine
from domain.ports.store import Change, Changes
from domain.requests import (
    Request,
    RequestKind,
    RequestState,
    find,
    hash_request,
    next_waiting,
    noted_cancel,
)
from domain.values import replace
from outbox.driver.connections import Connections
from outbox.store import PostgresStore
from outbox.store.statements import LOAD_REQUESTS
from outbox.store.wire import Wire
from schemas.codec import Codec
from tests.outbox.migrated import database_template, store, taking
from tests.outbox.test_memory import ID, opened

__all__ = ["database_template", "store"]

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)


def request(request_id: str = "r-1", kind: RequestKind = RequestKind.CANCEL, **fields: object) -> Request:
    known: dict[str, object] = {
        "request_id": request_id,
        "kind": kind,
        "arrival": 1,
        "content_hash": hash_request(kind, "changed my mind", "customer"),
        "noted_at": AT,
        "reason": "changed my mind",
        "requested_by": "customer",
    }
    return Request(**known | fields)  # type: ignore[arg-type]


def full() -> Request:
    return request(
        "r-2",
        RequestKind.REFUND,
        arrival=2,
        operator="root",
        causation_id=EventId(UUID(int=7)),
        amount_minor=250,
        lines=(OrderLine("SKU-1", 2), OrderLine("SKU-2", 1)),
        state=RequestState.REFUSED,
        taken_minor=200,
        refused="EXCEEDS_KEPT",
        approved_by="anna",
        approved_at=AT,
        taken_at=AT + timedelta(seconds=1),
        ended_at=AT + timedelta(seconds=2),
    )


async def write(store: PostgresStore, before: Order | None, after: Order) -> None:
    async with store.transaction() as transaction:
        await transaction.load([after.order_id])
        await transaction.save(Changes(orders=[Change(before, after)]))


async def read(database_url: str, *order_ids: OrderId) -> dict[OrderId, Order]:
    """Read them with a store that remembers nothing."""
    fresh = PostgresStore(Connections(database_url.replace("+psycopg", ""), 1), Codec().encode)
    try:
        async with fresh.transaction() as transaction:
            return await transaction.load(order_ids)
    finally:
        await fresh.close()


@pytest.mark.integration
@pytest.mark.parametrize("few", [True, False], ids=["in one round trip", "by COPY"])
async def test_requests_are_read_as_they_were_written(store: PostgresStore, database_url: str, *, few: bool) -> None:
    names = [OrderId(f"order-{n:02d}") for n in range(25)]
    changes = [opened(AT, order_id=name).with_request(full()).with_request(request()) for name in names]
    async with taking(store, few=few).transaction() as transaction:
        await transaction.load(names)
        await transaction.save(Changes(orders=[Change(None, order) for order in changes]))

    found = await read(database_url, *names)

    assert {name: order.requests for name, order in found.items()} == dict.fromkeys(names, (request(), full()))


@pytest.mark.integration
async def test_a_request_that_changes_is_written_and_the_others_stay(store: PostgresStore, database_url: str) -> None:
    first = opened(AT).with_request(request()).with_request(full())
    await write(store, None, first)
    taken = replace(request(), state=RequestState.TAKEN, taken_minor=1_000, taken_at=AT)
    await write(store, first, first.with_request(taken).with_request(request("r-3", arrival=3)))

    order = (await read(database_url, ID))[ID]

    assert order.requests == (taken, full(), request("r-3", arrival=3))
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT requests FROM orders").fetchall() == [(3,)]


@pytest.mark.integration
async def test_moments_of_the_order_are_kept(store: PostgresStore, database_url: str) -> None:
    await write(store, None, replace(opened(AT), paid_at=AT, preparation_started_at=AT + timedelta(seconds=5)))
    order = (await read(database_url, ID))[ID]
    assert (order.paid_at, order.preparation_started_at) == (AT, AT + timedelta(seconds=5))


@pytest.mark.integration
async def test_orders_without_requests_cost_no_statement(
    store: PostgresStore, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = OrderId("order-2")
    await write(store, None, opened(AT))
    await write(store, None, opened(AT, order_id=other).with_request(request()))
    asked: list[object] = []
    ask = Wire.ask

    async def watched(self: Wire, *questions: tuple[object, list[object]]) -> list[list[tuple[object, ...]]]:
        asked.extend(question[0] for question in questions)
        return await ask(self, *questions)

    monkeypatch.setattr(Wire, "ask", watched)

    await read(database_url, ID)
    assert LOAD_REQUESTS not in asked
    await read(database_url, ID, other)
    assert asked.count(LOAD_REQUESTS) == 1


@pytest.mark.integration
async def test_an_order_from_before_has_no_requests(store: PostgresStore, database_url: str) -> None:
    await write(store, None, opened(AT))
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("UPDATE orders SET requests = NULL")
    assert (await read(database_url, ID))[ID].requests == ()


def test_requests_are_taken_in_order_of_arrival() -> None:
    requests = (request("b", arrival=2), request("a", arrival=1, state=RequestState.DONE), request("c", arrival=3))
    assert next_waiting(requests) == requests[0]
    assert next_waiting(requests[1:2]) is None


@pytest.mark.parametrize("state", list(RequestState))
def test_a_cancel_is_noted_while_it_waits_or_is_carried_out(state: RequestState) -> None:
    noted = state in (RequestState.WAITING, RequestState.TAKEN)
    requests = (request("r", RequestKind.REFUND), request("c", arrival=2, state=state))
    assert noted_cancel(requests) == (requests[1] if noted else None)
    assert opened().cancel is None


def test_a_request_is_named_by_kind_and_id() -> None:
    cancel, refund = request("same"), request("same", RequestKind.REFUND, arrival=2)
    order = opened().with_request(cancel).with_request(refund)
    assert order.request_count == 2
    assert find(order.requests, RequestKind.REFUND, "same") == refund
    assert find(order.requests, RequestKind.CANCEL, "other") is None


def test_what_was_asked_for_makes_the_hash() -> None:
    refund = RequestKind.REFUND
    hashes = {
        hash_request(refund, "a", "b"),
        hash_request(RequestKind.CANCEL, "a", "b"),
        hash_request(refund, "b", "a"),
        hash_request(refund, "a", "b", 1),
        hash_request(refund, "a", "b", None, [OrderLine("1", 1)]),
    }
    assert len(hashes) == 5
    # It is stored: it must stay as it is.
    assert hash_request(RequestKind.CANCEL, "a", "b").hex()[:16] == "b5b071ed319f81e9"
