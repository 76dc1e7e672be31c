"""Whose saved method pays an order stands with the call that needs it, and nobody is shown it."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest

from deploy.views.order_json import order_document
from deploy.views.order_text import order_lines
from deploy.views.timeline import decode_journal
from outbox.driver.connections import Connections
from outbox.operators.queries import read_order, snapshot
from outbox.store import PostgresStore
from tests.consumers.test_resending import CODEC, CUSTOMER, make_due, now, open_orders, plain, run, sweep
from tests.sandbox.client import client_of
from tests.sandbox.process import SandboxProcess, running

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with running(tmp_path_factory.mktemp("sandbox") / "journal.jsonl") as process:
        yield process


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(Connections(plain(database_url), 4), CODEC.encode)
    yield made
    await made.close()


async def test_a_saved_method_pays_for_its_customer_and_neither_events_nor_commands_tell_whose_it_is(
    database_url: str, store: PostgresStore, sandbox: SandboxProcess
) -> None:
    await open_orders(store, ["not-saved", "saved"])
    make_due(database_url)
    await sweep(store, sandbox.address)

    ((transaction_id,),) = run(database_url, "SELECT transaction_id FROM attempt WHERE order_id = 'saved'")
    with client_of(sandbox.address) as client:
        made = client.get(f"/v1/payment_intents/{transaction_id}").body
    assert (made["customer"], made["status"]) == (CUSTOMER, "requires_capture")
    with snapshot(database_url) as connection:
        stored = read_order(connection, "saved")
    assert stored is not None
    assert [row["state"] for row in stored.operations] == ["approved"]
    events = decode_journal(stored, "", CODEC.decode)
    assert [event.type for event in events] == ["PaymentAuthorized"]
    shown = json.dumps(order_document(stored, events), default=str) + "".join(order_lines(stored, events, now()))
    assert transaction_id in shown
    assert CUSTOMER not in shown
    assert run(database_url, "SELECT id FROM event WHERE encode(body, 'escape') LIKE '%cus_play%'") == []
    holders = "SELECT order_id, kind FROM operation WHERE to_jsonb(operation)::text LIKE '%cus_play%'"
    assert run(database_url, holders) == [("saved", "authorize")]
    for table in ("orders", "attempt"):
        assert run(database_url, f"SELECT 1 FROM {table} t WHERE to_jsonb(t)::text LIKE '%cus_play%'") == []
