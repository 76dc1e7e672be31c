"""A topic of a test's own, what is published to it, and runs of a replay into a folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from deploy.replay.manifest import ALL, Window
from deploy.replay.run import Summary, Wish, replay_topics
from deploy.settings import load_settings
from producers.topics import create_topics
from schemas.codec import Codec
from schemas.events import Event
from tests.schemas import builders as b

TYPE = "OrderConfirmed"
PARTITIONS = 2


class Deployment:
    """Topics of a test's own, and a folder."""

    def __init__(self, servers: str, prefix: str, out: Path) -> None:
        self.servers, self.prefix, self.out = servers, prefix, out
        self.topic = prefix + TYPE
        self.environment = {"PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": servers, "PAYMENTS_TOPIC_PREFIX": prefix}

    async def make(self) -> None:
        await create_topics(
            {"bootstrap_servers": self.servers},
            [self.topic],
            partitions=PARTITIONS,
            replication_factor=1,
            event_bytes_max=1 << 20,
        )

    async def publish(self, events: Sequence[Event], *, at_ms: int | None = None) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.servers) as producer:
            for number, event in enumerate(events):
                value, key = Codec().encode(event), event.subject.encode()
                await producer.send(self.topic, value, key, number % PARTITIONS, at_ms)

    async def run(self, window: Window = ALL, form: str = "jsonl") -> Summary:
        settings = load_settings(self.environment, directory=self.out.parent)
        return await replay_topics(settings, Wish([TYPE], self.out, form, window), lambda _: None)


def orders(*names: str) -> list[Event]:
    return [b.order_confirmed(order_id=name) for name in names]


def ids(events: Sequence[Event]) -> list[str]:
    return sorted(str(event.event_id) for event in events)


def figures(done: Summary | Mapping[str, Any]) -> tuple[int, ...]:
    document = done.as_json() if isinstance(done, Summary) else done
    return tuple(document[name] for name in ("messages", "events", "repeated", "rejected", "files"))
