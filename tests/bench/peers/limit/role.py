"""What all roles share: a topic taken in batches, and a transaction that knows the inbox."""

import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import psycopg
from confluent_kafka import Consumer, TopicPartition

from tests.bench.peers import common
from tests.bench.peers.common import topic
from tests.bench.peers.limit.events import Event, raw
from tests.bench.peers.limit.postgres import I2, Param, connect, copy, status_is, texts, uuids
from tests.bench.peers.limit.settings import BATCH, LINGER_FROM, LINGER_S, NOTIFY

Message = Any  # confluent_kafka's, of which none is without a value here
Inbox = Callable[[list[Event]], list[Event]]
Body = Callable[[list[Event], Inbox], None]


class Source:
    """A consumer group over one topic, taken in batches; offsets are committed after the database."""

    def __init__(self, name: str) -> None:
        self.consumer = Consumer(
            {
                "bootstrap.servers": common.BOOTSTRAP,
                "group.id": topic("g." + name),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
                "fetch.min.bytes": 1,
                "queued.min.messages": 20000,
                "max.partition.fetch.bytes": 4 << 20,
                "check.crcs": True,
                "enable.partition.eof": False,
            }
        )
        self.consumer.subscribe([topic(name)])

    def take(self, wait_s: float) -> list[Message]:
        """Give what is there, at the most BATCH; wait for the first only, or a little for larger batches under load."""
        first = self.consumer.poll(wait_s)
        if first is None:
            return []
        taken = [first, *(self.consumer.consume(BATCH - 1, 0) or ())]
        if LINGER_S and LINGER_FROM <= len(taken) < BATCH:
            taken += self.consumer.consume(BATCH - len(taken), LINGER_S)
        return [m for m in taken if m.error() is None]

    def done(self, taken: Sequence[Message]) -> None:
        """Commit them."""
        last = {(m.topic(), m.partition()): m.offset() for m in taken}
        offsets = [TopicPartition(t, p, o + 1) for (t, p), o in last.items()]
        self.consumer.commit(offsets=offsets, asynchronous=True)


class Role(ABC):
    """A role: step() does one round of its work."""

    NO: ClassVar[int] = 0
    """Its number in the inbox."""

    def __init__(self) -> None:
        self.db = connect()
        self.cur = self.db.cursor(binary=True)
        self.stats: dict[str, float] = defaultdict(float)
        self.src: Source | None = None

    @abstractmethod
    def step(self, wait_s: float) -> bool:
        """Work, waiting at the most so long for something to do; tell whether there was something."""

    def inbox(self, events: list[Event]) -> list[Event]:
        """Record the events; all are new, or COPY fails and the whole transaction starts again."""
        head = b"\0\x02\0\0\0\x02" + I2(self.NO) + b"\0\0\0\x10"
        copy(self.cur, "inbox", [head + raw(e["event_id"]) for e in events])
        return events

    def inbox_slow(self, events: list[Event]) -> list[Event]:
        """Record the events; give the new ones."""
        by_id = {raw(e["event_id"]): e for e in events}
        self.cur.execute(
            "INSERT INTO inbox SELECT %s, x FROM unnest(%s) x ON CONFLICT DO NOTHING RETURNING uuid_send(event_id)",
            [self.NO, uuids(list(by_id))],
        )
        fresh = {r[0] for r in self.cur.fetchall()}
        return [e for i, e in by_id.items() if i in fresh]

    def transaction(self, body: Body, events: list[Event]) -> None:
        """Run the body in a transaction; after a unique violation again, with the inbox of ON CONFLICT."""
        t = time.perf_counter()
        try:
            body(events, self.inbox)
            self.db.commit()
        except psycopg.errors.UniqueViolation:
            self.db.rollback()
            self.stats["duplicates"] += 1
            body(events, self.inbox_slow)
            self.db.commit()
        self.stats["tx_n"] += 1
        self.stats["tx_s"] += time.perf_counter() - t
        self.stats["tx_rows"] += len(events)

    def notify(self) -> None:
        """Wake the relay."""
        if NOTIFY:
            self.cur.execute("NOTIFY outbox")

    def move(
        self,
        ids: list[bytes],
        before: str,
        after: Sequence[bytes],
        auth: Sequence[bytes | None] | None = None,
        capture: Sequence[bytes | None] | None = None,
    ) -> None:
        """Advance the orders from one state to the given ones; all must be there."""
        s = "UPDATE orders o SET version = version + 1, status = u.s"
        args: list[Param] = [uuids(ids), texts(after)]
        cols, names = "%s, %s", "i, s"
        for name, values in (("auth_ref", auth), ("capture_ref", capture)):
            if values is not None:
                s += f", {name} = u.{name}"
                args.append(texts(values))
                cols += ", %s"
                names += f", {name}"
        self.cur.execute(f"{s} FROM unnest({cols}) u({names}) WHERE o.id = u.i AND {status_is(before)}", args)
        if self.cur.rowcount != len(ids):
            raise RuntimeError(f"{len(ids) - self.cur.rowcount} of {len(ids)} orders are not {before}")
