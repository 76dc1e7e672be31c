"""A kit subscribes; its effects are counted after redelivery, a rebalance, a replay from zero and a crash.

Every step first shows that it happened: by what the group has committed, and how often each event was delivered.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient

from outbox.driver.conninfo import libpq_url
from schemas.codec import Codec
from tests.consumers.topics import Read
from tests.eventually import eventually
from tests.neighbours.cancelling import HAND_OVER, ask_to_cancel, state_of, tell_as_paid
from tests.neighbours.groups import Group
from tests.neighbours.kits import Prepared
from tests.neighbours.publishing import Orders
from tests.neighbours.running import Program, running
from tests.neighbours.world import LOOK_S, OUTCOMES, World
from tests.servers.databases import fresh_database

NEVER_MS: Final = 3_600_000
SOON_MS: Final = 200
TRICKLE_S: Final = 0.02
SESSION_MS: Final = 6_000
"""The shortest that a broker allows by default."""


class Seen(NamedTuple):
    """How many orders a subscriber has seen declined, and cancelled."""

    declined: int
    cancelled: int


@dataclass
class Subscription:
    """A kit's subscriber with its own database and group. told: every event that it must have an effect of.

    database: a connection to the subscriber's database, which is at database_url. sent: orders that were handed over.
    """

    kit: Prepared
    world: World
    database_url: str
    database: psycopg.Connection[Any]
    group: Group
    logs: Path
    stack: ExitStack
    told: dict[str, Any] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=count)

    def listen(self) -> list[Read]:
        """Take all that is on the topics now for told; return the messages."""
        messages, codec = self.world.read(*OUTCOMES), Codec()
        events = (codec.decode(m.event_type, m.key, m.value) for m in messages)
        self.told = {str(event.event_id): event for event in events}
        return messages

    def start(self, commit_interval_ms: int) -> Program:
        """Start one more process of the subscriber."""
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": self.world.bootstrap,
            "TOPIC_PREFIX": self.world.prefix,
            "SCHEMAS": "schemas",
            "DATABASE_URL": self.database_url,
            "GROUP_ID": self.group.name,
            "COMMIT_INTERVAL_MS": str(commit_interval_ms),
            "SESSION_TIMEOUT_MS": str(SESSION_MS),
            "PLAY_MONEY": "1",
        }
        output = self.logs / f"{self.kit.name}-{next(self.numbers)}.log"
        return self.stack.enter_context(running(self.kit.subscribe, self.kit.folder, output, variables))

    def rows(self, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        """Ask the subscriber's database."""
        return self.database.execute(query, values).fetchall()

    def deliveries(self) -> Counter[str]:
        """Return how often each event was delivered."""
        return Counter(dict(self.rows("select event_id::text, deliveries from delivery.received")))

    def await_delivered(self, times: int, *programs: Program, since: Counter[str] | None = None) -> None:
        """Wait until every event was delivered so often, while these programs run. since: not counting these."""
        before = since or Counter()

        def delivered() -> bool:
            found = self.deliveries()
            return all(found[event_id] - before[event_id] >= times for event_id in self.told)

        self._await(delivered, f"every event is delivered {times} times", programs)

    def await_committed(self, messages: int, *programs: Program) -> None:
        """Wait until the group has committed so many messages."""
        self._await(lambda: self.group.committed() >= messages, f"{messages} messages are committed", programs)

    def await_sharers(self, members: int, *programs: Program) -> None:
        """Wait until so many processes share the partitions."""
        self._await(lambda: self.group.sharers() == members, f"{members} processes have partitions", programs)

    def check_effects(self, after: str) -> None:
        """Fail unless each event had exactly its effect, once, and the goods of each order are where they must be."""
        found = Counter[tuple[Any, ...]](
            self.rows(
                "select event_id::text, order_id, amount_minor::text, currency,"
                " (select string_agg(line->>'sku' || ' ' || (line->>'quantity'), ', ' order by n)"
                "    from jsonb_array_elements(lines) with ordinality as a (line, n)) from delivery.dispatch"
                " union all select event_id::text, order_id, stage, failure_code, retryable::text from delivery.failure"
                " union all select event_id::text, order_id, request_id, '', '' from delivery.cancel"
            )
        )
        expected = Counter(_effect(event) for event in self.told.values())
        assert found == expected, f"after {after}: too many {found - expected}, missing {expected - found}"
        states = dict(self.rows("select order_id, state from delivery.dispatch"))
        told = list(self.told.values())
        right = {order_id: state_of(order_id, told, self.sent) for order_id in states}
        wrong = {order_id: state for order_id, state in states.items() if state != right[order_id]}
        assert wrong == {}, f"after {after}: goods are {wrong}, but must be {right}"

    def hand_over(self, order_id: str) -> bool:
        """Take the goods of an order for sending, as the kit's README says; return whether they may be sent."""
        taken = bool(self.rows(HAND_OVER, order_id))
        self.sent |= {order_id} if taken else set()
        return taken

    def _await(self, condition: Callable[[], object], what: str, programs: tuple[Program, ...]) -> None:
        def holds() -> object:
            for program in programs:
                program.check_runs()
            return condition()

        # Each look is a question to the database or to the broker, which have the kit to serve meanwhile.
        eventually(holds, lambda: f"{what}:\n" + "\n".join(program.log for program in programs), poll_s=LOOK_S)


def _effect(event: Any) -> tuple[Any, ...]:
    if event.TYPE == "OrderCancelled":
        return str(event.event_id), event.order_id, event.request_id, "", ""
    if event.TYPE == "PaymentFailed":
        return str(event.event_id), event.order_id, event.stage.value, event.failure_code, str(event.retryable).lower()
    lines = ", ".join(f"{line.sku} {line.quantity}" for line in event.lines)
    return str(event.event_id), event.order_id, str(event.amount_minor), event.currency, lines


def check_subscribing(kit: Prepared, world: World, orders: Orders, logs: Path) -> Seen:
    """Run the kit's subscriber through every trouble; return what it has seen. orders: those of this kit.

    Fails if an event had no effect, another, or more than one, or if goods of a cancelled order may be sent.
    """
    cancelled, late, *_ = orders.with_status("paid_and_confirmed")
    (unpaid,) = orders.with_status("action_required")
    ask_to_cancel(world, cancelled, unpaid)
    admin = AdminClient({"bootstrap.servers": world.bootstrap})
    with fresh_database(world.server_url, None) as url, ExitStack() as stack:
        database_url = libpq_url(url)
        database = stack.enter_context(psycopg.connect(database_url, autocommit=True))
        database.execute((kit.folder / "tables.sql").read_bytes())
        group = Group(f"{world.prefix}{kit.name}", world, admin)
        subscription = Subscription(kit, world, database_url, database, group, logs, stack)
        _crash(subscription)
        first = _redeliver(subscription)
        _cancel(subscription, first, cancelled, late, unpaid)
        sent = _rebalance(subscription, first)
        _replay(subscription, sent)
        ((declined,),) = subscription.rows("select count(distinct order_id) from delivery.failure")
        ((stopped,),) = subscription.rows("select count(distinct order_id) from delivery.cancel")
        return Seen(declined, stopped)


def _crash(subscription: Subscription) -> None:
    """SIGKILL it after its effects and before it commits offsets."""
    subscription.listen()
    doomed = subscription.start(NEVER_MS)
    subscription.await_delivered(1, doomed)
    assert subscription.group.committed() == 0, "it has committed offsets before COMMIT_INTERVAL_MS was over"
    doomed.kill()
    subscription.check_effects("a crash between effect and commit")


def _redeliver(subscription: Subscription) -> Program:
    """Start it again: all comes once more."""
    messages = subscription.listen()
    first = subscription.start(SOON_MS)
    subscription.await_delivered(2, first)
    subscription.await_committed(len(messages), first)
    subscription.check_effects("redelivery")
    return first


def _cancel(subscription: Subscription, first: Program, cancelled: str, late: str, unpaid: str) -> None:
    """Cancel an order whose goods were handed over, and let another be told as paid behind its cancel."""
    assert not subscription.hand_over(cancelled), "goods of a cancelled order were handed over"
    assert subscription.hand_over(late), "goods of a paid order could not be handed over"
    ask_to_cancel(subscription.world, late)
    tell_as_paid(subscription.world, unpaid)
    subscription.listen()
    subscription.await_delivered(1, first)
    subscription.check_effects("a late cancel and an early one")
    wanted = {cancelled: "cancelled", late: "recall", unpaid: "cancelled"}
    asked = "select order_id, state from delivery.dispatch where order_id = any(%s)"
    assert dict(subscription.rows(asked, list(wanted))) == wanted
    assert not subscription.hand_over(unpaid), "goods were handed over though the cancel came before the payment"


def _rebalance(subscription: Subscription, first: Program) -> int:
    """Send copies of all events while a process joins and another leaves. Return how many messages there are then."""
    messages, before = subscription.listen(), subscription.deliveries()
    originals = {message.value: message for message in messages}
    with _copies(subscription.world, list(originals.values())) as sent:
        second = subscription.start(SOON_MS)
        subscription.await_sharers(2, first, second)
        first.stop()
        subscription.await_sharers(1, second)
    in_all = len(messages) + sent[0]
    subscription.await_committed(in_all, second)
    subscription.await_delivered(1, second, since=before)
    subscription.check_effects("a rebalance")
    second.stop()
    return in_all


def _replay(subscription: Subscription, messages: int) -> None:
    """Read the topics from the beginning, with the same table of received events."""
    before = subscription.deliveries()
    subscription.group.rewind()
    again = subscription.start(SOON_MS)
    subscription.await_delivered(2, again, since=before)
    subscription.await_committed(messages, again)
    subscription.check_effects("a replay from zero")
    again.stop()


@contextmanager
def _copies(world: World, messages: list[Read]) -> Iterator[list[int]]:
    """Send copies of these messages, as a relay may, for the length of a block: of each at least one. Count them."""
    sent, ended = [0], threading.Event()
    failed: list[BaseException] = []

    def send() -> None:
        try:
            asyncio.run(_trickle(ended, world, messages, sent))
        except BaseException as error:  # noqa: BLE001 - it is raised by whoever waits
            failed.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield sent
    finally:
        ended.set()
        thread.join()
    assert not failed, failed


async def _trickle(ended: threading.Event, world: World, messages: list[Read], sent: list[int]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=world.bootstrap, acks="all") as producer:
        for m in cycle(messages):
            await producer.send_and_wait(
                world.prefix + m.event_type, m.value, key=m.key, partition=m.partition, headers=list(m.headers)
            )
            sent[0] += 1
            if sent[0] >= len(messages) and ended.is_set():
                return
            # Some fifty a second: a process that joins is to meet events, not to be buried under them.
            await asyncio.to_thread(ended.wait, TRICKLE_S)
