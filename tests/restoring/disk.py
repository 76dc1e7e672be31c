"""Kafka loses its disk amid the load: its folder is deleted. Topics are made anew, and everybody sends theirs again.

The steps are those of deploy/RESTORE.md. Upstream sends again what the drivers have published, in the same bytes.
"""

import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from confluent_kafka import Producer

from tests.chaos.clock import unix_s
from tests.chaos.fleet import ROLES
from tests.chaos.published import Sent
from tests.chaos.world import World
from tests.restoring.commands import Operator

LOOK_S: Final = 0.1
FLUSH_S: Final = 60.0


@dataclass(slots=True)
class LostDisk:
    """sent: what upstream has published so far. lost_at: progress of the run at which the disk is lost."""

    world: World
    sent: Callable[[], Iterable[Sent]]
    progress: Callable[[], float]
    say: Callable[[str], None]
    lost_at: float
    done: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait until it is over. May be repeated."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._happen(datetime.fromtimestamp(unix_s(), UTC).isoformat())
        except Exception as error:  # noqa: BLE001 - it is told in the verdict
            self.errors.append(f"{type(error).__name__}: {error}")
            self.say(self.errors[-1])

    def _happen(self, since: str) -> None:
        while self.progress() < self.lost_at:
            if self._stop.wait(LOOK_S):
                return
        roles = [name for name in ROLES if self.world.fleet.runs(name)]
        for name in roles:
            self.world.fleet.drain(name)
        kafka = self.world.servers.kafka
        kafka.kill()
        home = self.world.kafka_data.parent
        shutil.rmtree(self.world.kafka_data)
        # The embedded broker formats an empty disk by itself, as an operator would.
        (home / "formatted").unlink()
        self.say("Kafka has lost its disk")
        kafka.start()
        operator = Operator(self.world, self.say)
        operator.must("topics", "create")
        again = list(self.sent())
        self._send(again)
        self.say(f"upstream has sent {len(again)} messages again")
        operator.must("journal", "republish", "all", "--since", since, "--dry-run")
        operator.must("journal", "republish", "all", "--since", since)
        self.world.fleet.start(*roles)
        self.done += [f"Kafka lost its disk; {len(again)} messages of upstream sent again", *operator.said]

    def _send(self, sent: Iterable[Sent]) -> None:
        producer = Producer({"bootstrap.servers": self.world.bootstrap, "partitioner": "murmur2_random"})
        for one in sent:
            said = one.message
            producer.produce(one.topic, said.value, said.key, headers=list(said.headers), partition=one.partition)
            producer.poll(0)
        assert producer.flush(FLUSH_S) == 0
