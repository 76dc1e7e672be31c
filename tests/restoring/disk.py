"""Kafka loses its disk amid the load: its folder is deleted. Topics are made anew, and everybody sends theirs again.

The steps are those of deploy/RESTORE.md. Upstream sends again what the drivers have published, in the same bytes.
"""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from confluent_kafka import Producer

from tests.chaos.clock import unix_s
from tests.chaos.fleet import ROLES
from tests.chaos.published import Sent
from tests.restoring.commands import Operator
from tests.restoring.loss import Loss

FLUSH_S: Final = 60.0


@dataclass(slots=True, kw_only=True)
class LostDisk(Loss):
    """sent: what upstream has published so far."""

    sent: Callable[[], Iterable[Sent]]

    def happen(self) -> None:
        """Lose the disk, make the topics anew, and have everybody send theirs again."""
        since = datetime.fromtimestamp(unix_s(), UTC).isoformat()
        self.await_progress(self.lost_at)
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
