"""A call whose request only a newer release can make waits for it, and a token that works once is spent once."""

from collections.abc import AsyncIterator, Iterator

import pytest

from consumers.runtime.bounds import Bounds
from deploy.playbank.ledger import SandboxLedger
from domain.operation import REQUEST_FORMAT
from outbox.driver.connections import Connections
from outbox.store import PostgresStore
from tests.consumers.test_resending import CODEC, make_due, open_orders, plain, run, sweep
from tests.sandbox.client import Client, client_of
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


async def test_calls_of_a_newer_format_are_left_untried_and_hold_up_no_other(
    database_url: str, store: PostgresStore, sandbox: SandboxProcess
) -> None:
    assert Bounds().breaker_failures < 60
    await open_orders(store, [f"newer-{n}" for n in range(60)])
    run(database_url, f"UPDATE operation SET request_format = {REQUEST_FORMAT + 1}")
    await open_orders(store, ["ours"])
    for _ in range(3):
        make_due(database_url)
        await sweep(store, sandbox.address)

    states = run(database_url, "SELECT order_id LIKE 'newer-%', state, tries, count(*) FROM operation GROUP BY 1, 2, 3")
    assert sorted(states) == [(False, "approved", 1, 1), (True, "open", 0, 60)]
    details = run(database_url, "SELECT DISTINCT detail FROM operation WHERE state = 'open'")
    assert details == [(f"its request has format {REQUEST_FORMAT + 1}: a process of a newer release sends it",)]
    assert [entry.order_id for entry in await SandboxLedger(sandbox.address).entries()] == ["ours"]

    run(database_url, f"UPDATE operation SET request_format = {REQUEST_FORMAT} WHERE state = 'open'")
    make_due(database_url)
    await sweep(store, sandbox.address)
    assert run(database_url, "SELECT DISTINCT state, tries FROM operation") == [("approved", 1)]


@pytest.mark.parametrize("reached", [False, True])
async def test_a_confirmation_token_of_an_unknown_operation_is_spent_once(
    database_url: str, store: PostgresStore, sandbox: SandboxProcess, *, reached: bool
) -> None:
    order_id = f"token-{reached}"
    with client_of(sandbox.address) as client:
        token = confirmation_token(client)
        (call,) = await open_orders(store, [order_id])
        run(database_url, f"UPDATE attempt SET token = '{token}'")
        run(database_url, "UPDATE operation SET state = 'unknown', tries = 1, unknown_since = now()")
        if reached:
            form = {
                "amount": call.amount_minor,
                "currency": "eur",
                "confirm": "true",
                "capture_method": "manual",
                "confirmation_token": token,
                "error_on_requires_action": "true",
                "automatic_payment_methods[enabled]": "true",
                "automatic_payment_methods[allow_redirects]": "never",
                "metadata[order_id]": call.order_id,
                "metadata[attempt]": "1",
                "metadata[operation_id]": str(call.operation_id),
                "expand[0]": "latest_charge",
            }
            assert client.post("/v1/payment_intents", form, call.idempotency_key).status == 200
            made = client.post("/v1/payment_intents", form, call.idempotency_key)
            assert made.replayed
    make_due(database_url)

    gateway = await sweep(store, sandbox.address)

    assert run(database_url, "SELECT status FROM orders") == [("payment_authorized",)]
    assert [sent.token for sent in gateway.sent] == ([] if reached else [token])
    entries = [e for e in await SandboxLedger(sandbox.address).entries() if e.order_id == order_id]
    assert [[effect.kind for effect in entry.effects] for entry in entries] == [["authorize"]]


async def test_a_refused_confirmation_token_of_an_unknown_operation_leaves_it_unknown(
    database_url: str, store: PostgresStore, sandbox: SandboxProcess
) -> None:
    with client_of(sandbox.address) as client:
        token = confirmation_token(client)
        used = client.intent(payment_method=None, confirmation_token=token)
        assert used.status == 200
    await open_orders(store, ["used"])
    run(database_url, f"UPDATE attempt SET token = '{token}'")
    run(database_url, "UPDATE operation SET state = 'unknown', tries = 1, unknown_since = now()")
    make_due(database_url)

    gateway = await sweep(store, sandbox.address)

    assert [sent.token for sent in gateway.sent] == [token]
    (row,) = run(database_url, "SELECT o.status, p.state, p.replayed FROM orders o JOIN operation p USING (order_id)")
    assert row == ("confirmed", "unknown", True)
    make_due(database_url)
    assert (await sweep(store, sandbox.address)).sent == [], "it is only looked up from then on"


async def test_a_new_operation_whose_confirmation_token_was_used_fails_and_may_be_paid_with_another_method(
    database_url: str, store: PostgresStore, sandbox: SandboxProcess
) -> None:
    with client_of(sandbox.address) as client:
        token = confirmation_token(client)
        assert client.intent(payment_method=None, confirmation_token=token).status == 200
    await open_orders(store, ["used-at-once"])
    run(database_url, f"UPDATE attempt SET token = '{token}'")
    make_due(database_url)

    await sweep(store, sandbox.address)

    assert run(database_url, "SELECT status, retryable FROM orders") == [("payment_failed", True)]
    assert run(database_url, "SELECT failure_code FROM attempt") == [("method_invalid",)]


def confirmation_token(client: Client) -> str:
    made = client.post("/v1/test_helpers/confirmation_tokens", {"payment_method": "pm_card_visa"})
    return str(made.body["id"])
