"""Orders fail, and their customers are told: each once, whatever the mail server does, and without holding up money."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumers.adapters.notifier import QuietNotifier
from consumers.adapters.notifier.mail import Sender
from consumers.adapters.notifier.smtp import Server, SmtpMessenger
from consumers.adapters.notifier.texts import Texts
from domain.messages import NO_ADDRESS, Delivery, Message, NotNow, Sent
from domain.ports.messages import Customer, CustomerDirectory, Messenger
from outbox.driver.connections import Connections
from outbox.store.messages import PgMessages
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Member, Pipeline
from tests.consumers.orders import order
from tests.eventually import EVENTUALLY_S
from tests.messages.mail_server import MailServer, mail_server, on_the_wire, polite

pytestmark = pytest.mark.integration

MAIL: dict[str, Any] = {
    "notifier": "smtp",
    "smtp_url": "smtp://127.0.0.1:1",
    "smtp_from": "no-reply@shop.example",
    "customer_directory": "http://127.0.0.1:1/{customer_id}",
}
"""The settings say that mails are sent; the tests give the messenger."""
DECLINED = "pm_card_chargeDeclined"


class Everybody:
    """A directory in which every customer has an address with their id in it."""

    async def customer(self, customer_id: str) -> Customer | None:
        return None if customer_id == "nobody" else Customer(f"{customer_id}@customers.example")

    async def close(self) -> None:
        pass


def mails(place: Server, directory: CustomerDirectory | None = None) -> SmtpMessenger:
    sender = Sender("", "no-reply@shop.example")
    return SmtpMessenger(place, sender, Texts(), directory or Everybody(), timeout_s=1, idle_s=0.2)


class Members:
    """Processes with a messenger, and what they hold open."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._connections: list[Connections] = []
        self._messengers: list[Messenger] = []

    async def join(self, messenger: Messenger, **roles: Any) -> Member:
        connections = Connections(self._pipeline._limited, 2)
        self._connections.append(connections)
        self._messengers.append(messenger)
        ports = {"messages": PgMessages(connections, 14), "messenger": messenger, "notifier": QuietNotifier()}
        return await self._pipeline.join(ports=ports, **roles)

    async def close(self) -> None:
        for member in self._pipeline.members:
            if not member.task.done():
                await member.leave()
        for messenger in self._messengers:
            await messenger.close()
        for connections in self._connections:
            await connections.close()


@pytest.fixture
async def pipeline(make_pipeline: MakePipeline) -> Pipeline:
    made = await make_pipeline(**MAIL)
    await made.stock(SKU_1=100, SKU_2=100)
    return made


@pytest.fixture
async def members(pipeline: Pipeline) -> Any:
    made = Members(pipeline)
    yield made
    await made.close()


async def fail(
    pipeline: Pipeline, *order_ids: str, customer: Callable[[str], str] = lambda order_id: f"c-{order_id}"
) -> None:
    for order_id in order_ids:
        await pipeline.publish(order(order_id, DECLINED, customer_id=customer(order_id)))


async def until(pipeline: Pipeline, state: str, count: int, holds: Callable[[], Awaitable[bool]] | None = None) -> None:
    async def so_many() -> bool:
        return True is await pipeline.value("SELECT count(*) = %s FROM message WHERE state = %s", count, state)

    await pipeline.until(holds or so_many, f"{count} messages {state}")


async def everything(pipeline: Pipeline) -> str:
    """Return all rows of all tables as text."""
    tables = await pipeline.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    )
    texts = [str(await pipeline.rows(f'SELECT t::text FROM "{name}" t')) for (name,) in tables]
    texts += [str(await pipeline.rows("SELECT encode(body, 'escape') FROM event WHERE body IS NOT NULL"))]
    return "\n".join(texts)


async def test_customers_get_one_mail_each_and_nobody_keeps_their_address(pipeline: Pipeline, members: Members) -> None:
    ids = [f"o-{n}" for n in range(20)]
    async with mail_server() as server:
        with capture_logs() as logs:
            await members.join(mails(server.place))
            await members.join(mails(server.place))
            await fail(pipeline, *ids)
            await until(pipeline, "sent", 20)
        assert sorted(server.recipients) == sorted(f"c-{order_id}@customers.example" for order_id in ids)
    events = await pipeline.rows("SELECT event_id::text FROM notification ORDER BY 1")
    assert [(key,) for key in sorted(server.keys)] == events
    assert "customers.example" not in await everything(pipeline)
    assert "customers.example" not in str(logs)


async def test_a_mail_server_that_is_down_holds_up_no_payment_and_no_message_is_lost(
    pipeline: Pipeline, members: Members
) -> None:
    async with mail_server() as away:
        port = away.port
    await members.join(mails(Server("127.0.0.1", port)))
    await fail(pipeline, *(f"o-{n}" for n in range(5)))
    await pipeline.until_told("PAYMENT_FAILED")
    await pipeline.publish(*(order(f"paid-{n}") for n in range(5)))
    await pipeline.until_status("paid_and_confirmed", *(f"paid-{n}" for n in range(5)))
    await pipeline.until_status("payment_failed", *(f"o-{n}" for n in range(5)))
    await until(pipeline, "waiting", 5)
    async with mail_server(port) as back:
        await due_now(pipeline, until_sent=5)
        assert len(set(back.keys)) == len(back.keys) == 5
    assert await pipeline.value("SELECT max(tries) FROM message") == 0


async def due_now(pipeline: Pipeline, *, until_sent: int) -> None:
    """Let the time of every pause pass until so many are sent; leases are left alone."""

    async def sent() -> bool:
        await pipeline.rows(
            "UPDATE message SET due_at = now() WHERE state = 'waiting' AND error IS NOT NULL AND due_at > now() "
            "AND due_at < now() + interval '30 seconds'"
        )
        return True is await pipeline.value("SELECT count(*) = %s FROM message WHERE state = 'sent'", until_sent)

    await pipeline.until(sent, f"{until_sent} messages sent")


async def test_a_refused_address_and_a_missing_one_hold_up_nobody_else(pipeline: Pipeline, members: Members) -> None:
    async with mail_server() as server:
        server.on_rcpt = lambda address: f"550 5.1.1 <{address}> unknown" if address.startswith("bad") else None
        with capture_logs() as logs:
            await members.join(mails(server.place))
            await fail(pipeline, "1", "2", "3", customer={"1": "bad", "2": "nobody", "3": "good"}.__getitem__)
            await until(pipeline, "given_up", 2)
            await until(pipeline, "sent", 1)
        assert server.recipients == ["good@customers.example"]
    found = await pipeline.rows(
        "SELECT customer_id, error, tries, due_at FROM message WHERE state = 'given_up' ORDER BY 1"
    )
    assert found == [("bad", "RCPT: SMTP 550 5.1.1", 1, None), ("nobody", NO_ADDRESS, 1, None)]
    given_up = sorted(line["why"] for line in logs if line.get("reason") == "message_given_up")
    assert given_up == ["RCPT: SMTP 550 5.1.1", NO_ADDRESS]
    assert "customers.example" not in str(logs)


async def test_an_address_that_the_server_is_silent_about_holds_up_its_own_message_only(
    pipeline: Pipeline, members: Members
) -> None:
    async with mail_server() as server:
        server.silent_about = "c-slow"
        await members.join(mails(server.place))
        await fail(pipeline, "slow", *(f"o-{n}" for n in range(40)))
        await until(pipeline, "sent", 40)
        assert await pipeline.rows("SELECT state FROM message WHERE order_id = 'slow'") == [("waiting",)]

        async def tried() -> bool:
            return await pipeline.has("SELECT 1 FROM message WHERE error = 'RCPT: SMTPReadTimeoutError'")

        await pipeline.until(tried, "the silence is noted")
        server.silent_about = "(nobody)"
        await due_now(pipeline, until_sent=41)
        assert sorted(server.recipients) == sorted({*server.recipients})


class Counted:
    """A messenger that answers as it is told, message by message, and counts."""

    def __init__(self, *answers: Delivery) -> None:
        self.sent: list[str] = []
        self._answers = list(answers)

    async def send(self, message: Message) -> Delivery:
        self.sent.append(str(message.notification.order_id))
        return self._answers.pop(0) if self._answers else Sent()

    async def close(self) -> None:
        pass


async def test_a_temporary_refusal_is_tried_again_and_an_error_of_ours_stops_nothing(
    pipeline: Pipeline, members: Members
) -> None:
    class Broken(Counted):
        async def send(self, message: Message) -> Delivery:
            if message.notification.order_id == "broken":
                raise RuntimeError("secret@customers.example")
            return await super().send(message)

    messenger = Broken(NotNow("busy"), NotNow("busy"))
    await members.join(messenger)
    await fail(pipeline, "broken")
    await until(pipeline, "given_up", 1)
    await fail(pipeline, "o-1")
    await due_now(pipeline, until_sent=1)
    assert messenger.sent == ["o-1"] * 3
    found = await pipeline.rows("SELECT order_id, tries, error FROM message ORDER BY 1")
    assert found == [("broken", 1, "it raised RuntimeError here"), ("o-1", 2, None)]


async def test_a_process_that_dies_while_it_sends_leaves_the_message_to_another(
    pipeline: Pipeline, members: Members
) -> None:
    begun = asyncio.Event()

    class Stuck(Counted):
        async def send(self, message: Message) -> Delivery:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

    first = await members.join(Stuck())
    await fail(pipeline, "o-1")
    await asyncio.wait_for(begun.wait(), EVENTUALLY_S)
    await first.crash()
    other = Counted()
    await members.join(other)
    await pipeline.rows("UPDATE message SET due_at = now()")
    await until(pipeline, "sent", 1)
    assert other.sent == ["o-1"]


async def test_a_process_that_leaves_finishes_what_it_sends(pipeline: Pipeline, members: Members) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    class Slow(Counted):
        async def send(self, message: Message) -> Delivery:
            begun.set()
            await go.wait()
            return Sent()

    member = await members.join(Slow())
    await fail(pipeline, "o-1")
    await asyncio.wait_for(begun.wait(), EVENTUALLY_S)
    leaving = asyncio.ensure_future(member.leave())
    await asyncio.sleep(0)
    go.set()
    await leaving
    assert await pipeline.rows("SELECT state FROM message") == [("sent",)]


async def test_a_lost_answer_after_the_mail_may_send_it_once_more_with_the_same_id(
    pipeline: Pipeline, members: Members
) -> None:
    bodies: list[bytes] = []
    seen = MailServer()

    async def loses_the_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append(await polite(reader, writer, "."))
        if len(bodies) > 1:
            writer.write(b"250 taken\r\n")
            await reader.read()

    async with on_the_wire(loses_the_first) as port:
        await members.join(mails(Server("127.0.0.1", port)))
        await fail(pipeline, "o-1")
        await due_now(pipeline, until_sent=1)
    for body in bodies:
        seen.take(body, "", [])
    assert len(seen.keys) == 2
    assert len(set(seen.keys)) == 1


async def test_one_sweep_sends_what_is_due_and_ends_also_if_nobody_answers(
    pipeline: Pipeline, members: Members
) -> None:
    await members.join(Counted(), sweep=False)
    await fail(pipeline, "o-1", "o-2")
    await until(pipeline, "waiting", 2)
    connections = Connections(pipeline._limited, 2)
    messages = PgMessages(connections, 14)
    store = pipeline.store()
    down = Counted(*[NotNow("nobody there", down=True)] * 2)
    engine = pipeline.engine(store, ports={"messages": messages, "messenger": down})
    await engine.once()
    assert await pipeline.rows("SELECT state, tries FROM message") == [("waiting", 0)] * 2
    await pipeline.rows("UPDATE message SET due_at = now()")
    up = Counted()
    await pipeline.engine(store, ports={"messages": messages, "messenger": up}).once()
    assert sorted(up.sent) == ["o-1", "o-2"]
    await connections.close()
