"""A call that is sent again, by a later release or with other settings, is the same call; its request id is kept."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from consumers.adapters.gateway.stripe_adapter import StripeGateway
from consumers.adapters.inventory.internal import InternalInventory
from consumers.adapters.notifier import LogNotifier
from consumers.reactions import BY_NAME
from consumers.runtime.engine import Engine
from consumers.runtime.ports import Ports
from deploy.bounds import bounds_of
from deploy.playbank.ledger import SandboxLedger
from deploy.settings import Settings
from deploy.views.order_json import order_document
from deploy.views.order_text import order_lines
from deploy.views.timeline import decode_journal
from deploy.wiring import rules_of
from domain.case import Case
from domain.ids import OrderId
from domain.news import RefundFailure, TransactionNews
from domain.notices import Notice
from domain.opening import authorize
from domain.operating import gateway_call
from domain.operation import REQUEST_FORMAT, Frozen, GatewayCall, OperationState
from domain.order import Order
from domain.outcome import GatewayOutcome, Unknown
from domain.ports.gateway import Begin, GatewayAnswer, at_once
from domain.ports.store import Change, Changes
from domain.rules import Context
from outbox.driver.connections import Connections
from outbox.operators.queries import read_order, snapshot
from outbox.schema.migrations import upgrade
from outbox.store import PostgresStore
from schemas.codec import Codec
from tests.consumers.older import Left
from tests.contracts.gateway_worlds import collect
from tests.contracts.own_stripe import OwnStripe, intent, own_stripe, said
from tests.outbox.test_numbering import to_revision
from tests.sandbox.client import client_of
from tests.sandbox.process import SandboxProcess, running
from tests.schemas.builders import order_confirmed

pytestmark = pytest.mark.integration

CODEC = Codec()
BEFORE = "0004"
TEXTS: dict[str, Any] = {
    "statement_suffix": "NO {order_id}",
    "description": "Order {order_id}",
    "return_url": "https://shop.example/back/{order_id}",
}
OTHER_TEXTS: dict[str, Any] = {
    "statement_suffix": "{order_id} SHOP",
    "description": "Flowers",
    "return_url": "https://shop.example/elsewhere",
}
CUSTOMER = "cus_play_1"
METHODS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"kind": "CARD"}, {}),
    ({"kind": "CARD", "gateway_customer_id": CUSTOMER}, {"customer_id": CUSTOMER}),
    (
        {"kind": "CARD", "gateway_customer_id": CUSTOMER, "off_session": True},
        {"customer_id": CUSTOMER, "off_session": True, "return_url": None},
    ),
    ({"kind": "WALLET"}, {"method_kind": "WALLET", "statement_suffix": None}),
    ({"kind": "OTHER"}, {"method_kind": "OTHER", "statement_suffix": None}),
]
"""What the customer pays with, and what is frozen otherwise than with the first."""
DECLINED = "pm_card_chargeDeclined"
OPEN, UNKNOWN = OperationState.OPEN, OperationState.UNKNOWN
WAYS = [
    ("pm_card_visa", UNKNOWN, True),
    ("pm_card_visa", UNKNOWN, False),
    ("pm_card_visa", OPEN, True),
    (DECLINED, UNKNOWN, False),
    (DECLINED, OPEN, True),
]
"""Token, state, whether its request came to the gateway."""


class Listening:
    """The gateway, and what came of every call and look-up."""

    def __init__(self, gateway: StripeGateway) -> None:
        self.gateway = gateway
        self.outcomes: list[GatewayOutcome] = []
        self.sent: list[GatewayCall] = []

    async def perform(
        self, calls: Sequence[GatewayCall], begin: Begin = at_once
    ) -> AsyncIterator[Sequence[GatewayAnswer]]:
        self.sent += calls
        async for group in self.gateway.perform(calls, begin):
            self.outcomes += [answer.outcome for answer in group]
            yield group

    async def look_up(self, calls: Sequence[GatewayCall]) -> AsyncIterator[Sequence[GatewayAnswer]]:
        async for group in self.gateway.look_up(calls):
            self.outcomes += [answer.outcome for answer in group]
            yield group

    def late_refunds(self, since: datetime) -> AsyncIterator[Sequence[RefundFailure | Notice]]:
        return self.gateway.late_refunds(since)

    async def news_of(self, transaction_id: str, *, with_disputes: bool) -> TransactionNews | None:
        return await self.gateway.news_of(transaction_id, with_disputes=with_disputes)

    async def close(self) -> None:
        await self.gateway.close()


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with running(tmp_path_factory.mktemp("sandbox") / "journal.jsonl") as process:
        yield process


@pytest.fixture
async def stripe() -> AsyncIterator[OwnStripe]:
    async with own_stripe() as made:
        yield made


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(Connections(plain(database_url), 4), CODEC.encode)
    yield made
    await made.close()


def plain(database_url: str) -> str:
    return database_url.replace("+psycopg", "")


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - keys live by the real clock


async def sweep(store: PostgresStore, address: str, **texts: Any) -> Listening:
    """Do what is due, as `payments sweep --once` with these settings; return what the gateway was asked and said."""
    settings = Settings(gateway="sandbox", stripe_api_base=address, **texts)
    gateway = Listening(StripeGateway("sk_test_1", api_base=address))
    ports = Ports(store, gateway, InternalInventory(), LogNotifier(), CODEC.decode, CODEC)
    await Engine(ports, BY_NAME, rules_of(settings), bounds_of(settings)).once()
    await gateway.close()
    return gateway


async def open_orders(store: PostgresStore, order_ids: Sequence[str], **texts: Any) -> list[GatewayCall]:
    """Open orders with these settings, and leave their calls to whoever comes; return them."""
    rules = rules_of(Settings(gateway="sandbox", lease_s=30, **texts))
    async with store.transaction() as transaction:
        await transaction.load([OrderId(order_id) for order_id in order_ids])
        opened: list[Order | None] = []
        for order_id in order_ids:
            method, _ = METHODS[len(opened) % len(METHODS)]
            event = order_confirmed(order_id=order_id, payment_method={"token": "pm_card_visa", **method})
            case = Case(None, Context(transaction.now, None, rules), "authorize_payment", event)  # type: ignore[arg-type]
            opened.append(authorize(case).order)
        await transaction.save(Changes(orders=[Change(None, order) for order in opened if order is not None]))
    return [gateway_call(o, "pm_card_visa") for order in opened if order is not None for o in order.operations]


def make_due(database_url: str) -> None:
    """End all leases and pauses. The orders' rows change too, so that no process trusts its memory of them."""
    run(database_url, "UPDATE operation SET due_at = now() - interval '1 s' WHERE due_at IS NOT NULL")
    run(database_url, "UPDATE orders SET updated_at = now()")


def run(database_url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(plain(database_url), autocommit=True) as connection:
        done = connection.execute(statement.encode())
        return done.fetchall() if done.description else []


async def test_an_upgrade_with_200_open_authorizes_and_new_settings_ends_each_of_them_right(
    database_url: str, store: PostgresStore, sandbox: SandboxProcess
) -> None:
    forms = [(1, "CARD"), (2, "CARD"), (1, "WALLET"), (2, "WALLET"), (1, "BANK"), (2, "OTHER")]
    left = [Left(n, *WAYS[n % len(WAYS)], *forms[n % len(forms)]) for n in range(1, 201)]
    to_revision(database_url, BEFORE)
    with client_of(sandbox.address) as client, psycopg.connect(plain(database_url)) as connection:
        for one in left:
            one.write(connection, now())
            if one.reached:
                one.send(client)
    upgrade(database_url)
    with psycopg.connect(plain(database_url)) as connection:
        for one in left:
            one.write_format(connection)

    gateway = await sweep(store, sandbox.address, **TEXTS)

    assert [outcome for outcome in gateway.outcomes if isinstance(outcome, Unknown)] == []
    # Of the five ways one is found by its look-up, and not sent again.
    sent_again = Counter(one.request_format for one in left if not (one.state is UNKNOWN and one.reached))
    assert Counter(call.request_format for call in gateway.sent) == sent_again
    assert sent_again.total() == 160
    wanted = {one.order_id: "payment_failed" if one.token == DECLINED else "payment_authorized" for one in left}
    assert dict(run(database_url, "SELECT order_id, status FROM orders")) == wanted
    assert run(database_url, "SELECT order_id FROM operation WHERE state NOT IN ('approved', 'declined')") == []
    entries = [entry for entry in await SandboxLedger(sandbox.address).entries() if entry.order_id in wanted]
    effects = {entry.order_id: [effect.kind for effect in entry.effects] for entry in entries}
    assert len(entries) == len(left)
    assert effects == {order_id: [] if end == "payment_failed" else ["authorize"] for order_id, end in wanted.items()}


async def test_calls_of_this_release_are_sent_again_with_the_texts_that_they_were_opened_with(
    database_url: str, store: PostgresStore, sandbox: SandboxProcess
) -> None:
    order_ids = [f"frozen-{n}" for n in range(50)]
    calls = await open_orders(store, order_ids, **TEXTS)
    killed = StripeGateway("sk_test_1", api_base=sandbox.address)
    first = await collect(killed.perform(calls[::2]))
    await killed.close()
    make_due(database_url)

    gateway = await sweep(store, sandbox.address, **OTHER_TEXTS)

    assert {type(each.outcome).__name__ for each in first} == {"Approved"}
    assert {call.order_id: call for call in gateway.sent} == {call.order_id: call for call in calls}
    assert len(gateway.sent) == len(calls)
    assert {call.order_id: call.frozen for call in gateway.sent} == {i: frozen_of(n) for n, i in enumerate(order_ids)}
    assert {type(outcome).__name__ for outcome in gateway.outcomes} == {"Approved"}
    assert run(database_url, "SELECT DISTINCT status FROM orders") == [("payment_authorized",)]


def frozen_of(n: int) -> Frozen:
    """Return what is frozen with the order of this number, with TEXTS."""
    i = f"frozen-{n}"
    first = {
        "statement_suffix": f"NO {i}",
        "description": f"Order {i}",
        "return_url": f"https://shop.example/back/{i}",
    }
    return Frozen(**(first | METHODS[n % len(METHODS)][1]))


@pytest.mark.parametrize("many", [1, 30])
async def test_what_was_frozen_comes_back_as_it_was(database_url: str, store: PostgresStore, many: int) -> None:
    order_ids = [OrderId(f"kept-{n}") for n in range(many)]
    calls = await open_orders(store, order_ids, **TEXTS)
    reader = PostgresStore(Connections(plain(database_url), 1), CODEC.encode)
    async with reader.transaction() as transaction:
        loaded = await transaction.load(order_ids)
    await reader.close()

    frozen = {i: order.operations[0].frozen for i, order in loaded.items()}
    assert frozen == {call.order_id: call.frozen for call in calls}
    assert {order.operations[0].request_format for order in loaded.values()} == {REQUEST_FORMAT}
    run(database_url, """UPDATE operation SET frozen = '{"of_a_newer_release": 1, "description": "x"}'""")
    (claimed,) = await reader_of_due(database_url)
    assert claimed.frozen == Frozen(description="x")


async def reader_of_due(database_url: str) -> list[Any]:
    """Claim one operation with a store of its own."""
    make_due(database_url)
    store = PostgresStore(Connections(plain(database_url), 1), CODEC.encode)
    claimed = await store.claim_due(1, 30)
    await store.close()
    return [each.operation for each in claimed]


async def test_the_request_id_of_the_last_answer_is_kept_and_shown(
    database_url: str, store: PostgresStore, stripe: OwnStripe
) -> None:
    (call,) = await open_orders(store, ["order-1"])
    seen = []
    found = intent(amount=3_080, metadata={"operation_id": str(call.operation_id)})
    answers = [
        said({"error": {"code": "rate_limit"}}, 429, Request_Id="req_turned_away"),
        said(b"<html>", 503, Request_Id="req_failed", Retry_After="60"),
        said(b"<html>", 503),
        said({"object": "list", "data": [found], "has_more": False}, Request_Id="req_found"),
    ]
    for answer in answers:
        stripe.says(answer)
        make_due(database_url)
        await sweep(store, stripe.address)
        (row,) = run(database_url, "SELECT state, request_id, due_at - now() > interval '50 s' FROM operation")
        with snapshot(database_url) as connection:
            stored = read_order(connection, "order-1")
        assert stored is not None
        events = decode_journal(stored, "", CODEC.decode)
        assert order_document(stored, events)["operations"][0]["request_id"] == row[1]
        assert any(row[1] in line for line in order_lines(stored, events, now()))
        seen.append(row)

    assert seen == [
        ("open", "req_turned_away", False),
        ("unknown", "req_failed", True),
        ("unknown", "req_failed", False),
        ("approved", "req_found", None),
    ]
