"""The relay: select by id, produce, wait for acks=all, delete."""

import time
from typing import Any

from confluent_kafka import Producer

from tests.bench.peers import common
from tests.bench.peers.common import topic
from tests.bench.peers.limit.postgres import bigs
from tests.bench.peers.limit.role import Role
from tests.bench.peers.limit.settings import RELAY_BATCH, RELAY_LINGER_MS

FLUSH_S = 30


class Relay(Role):
    """Sends the outbox in the order of its ids."""

    def __init__(self, *_: Any) -> None:
        super().__init__()
        self.cur.execute("SET synchronous_commit = off")  # a delete lost in a crash sends again, and the inbox drops it
        self.cur.execute("LISTEN outbox")
        self.db.commit()
        self._bad: list[Any] = []
        self._producer = Producer(
            {
                "bootstrap.servers": common.BOOTSTRAP,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": RELAY_LINGER_MS,
                "batch.size": 1 << 20,
                "batch.num.messages": 10000,
                "queue.buffering.max.messages": 1_000_000,
                "delivery.report.only.error": True,
            }
        )
        self._topics = [topic(name) for name in common.STEPS]

    def step(self, wait_s: float) -> bool:
        t = time.perf_counter()
        self.cur.execute("SELECT id, topic, key, value FROM outbox ORDER BY id LIMIT %s", [RELAY_BATCH])
        rows = self.cur.fetchall()
        if not rows:
            self._wait(wait_s)
            return False
        t1 = time.perf_counter()
        self._send(rows)
        t2 = time.perf_counter()
        self.cur.execute("DELETE FROM outbox WHERE id = ANY(%s)", [bigs([r[0] for r in rows])])
        self.db.commit()
        t3 = time.perf_counter()
        self.stats["batches"] += 1
        self.stats["rows"] += len(rows)
        self.stats["select_s"] += t1 - t
        self.stats["kafka_s"] += t2 - t1
        self.stats["delete_s"] += t3 - t2
        return True

    def _wait(self, wait_s: float) -> None:
        """Wait for a notification."""
        self.db.commit()
        if wait_s:
            self.db.autocommit = True
            for _ in self.db.notifies(timeout=wait_s, stop_after=1):
                pass
            self.db.autocommit = False

    def _send(self, rows: list[tuple[Any, ...]]) -> None:
        """Publish them. Raises RuntimeError unless all are: nothing is deleted, a restart sends from the lowest."""
        produce, topics, report = self._producer.produce, self._topics, self._report
        for _, number, key, value in rows:
            produce(topics[number], value, key, on_delivery=report)
        if self._producer.flush(FLUSH_S) or self._bad:
            raise RuntimeError(f"not published: {self._bad[:1]}")

    def _report(self, error: Any, _message: Any) -> None:
        if error is not None:
            self._bad.append(error)
