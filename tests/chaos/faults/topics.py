"""What a topic's owner may do: another compression, more partitions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewPartitions

from tests.chaos.faults.scene import Scene
from tests.chaos.messages import ORDER

ANSWER_S: Final = 20.0
MORE: Final = 2
ORDERS_EACH: Final = 3


@contextmanager
def recode(scene: Scene) -> Iterator[None]:
    """Have the broker pack a topic's batches in a codec, whatever their producer chose."""
    scene.places = frozenset()
    topic, codec = scene.fault.target.split()
    admin = _admin(scene)
    scene.insist(lambda: _set(admin, scene.topic(topic), codec))
    try:
        yield
    finally:
        scene.insist(lambda: _set(admin, scene.topic(topic), "producer"))


@contextmanager
def add_partitions(scene: Scene) -> Iterator[None]:
    """Give a topic more partitions; on those of OrderConfirmed orders lie at once."""
    scene.places = frozenset()
    topic, admin = scene.topic(scene.fault.target), _admin(scene)
    before = scene.insist(lambda: _partitions(admin, topic))
    scene.insist(lambda: _grow(admin, topic, before + MORE))
    scene.notes.append(f"{before} -> {before + MORE}")
    if scene.fault.target == ORDER:
        orders = iter(scene.stage.script.more(scene.name, MORE * ORDERS_EACH))
        for number, order in enumerate(orders):
            scene.stage.shop.confirm(order, partition=before + number % MORE)
    yield


def _admin(scene: Scene) -> AdminClient:
    return AdminClient({"bootstrap.servers": scene.world.bootstrap, "log_level": 0})


def _set(admin: AdminClient, topic: str, codec: str) -> None:
    entry = ConfigEntry("compression.type", codec, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for answer in admin.incremental_alter_configs([resource], request_timeout=ANSWER_S).values():
        answer.result(ANSWER_S)


def is_recoded(scene: Scene, topic: str) -> bool:
    """Whether the broker packs the topic's batches anew now."""
    resource, admin = ConfigResource(ResourceType.TOPIC, topic), _admin(scene)
    told = scene.insist(lambda: admin.describe_configs([resource], request_timeout=ANSWER_S)[resource].result(ANSWER_S))
    return bool(told["compression.type"].value != "producer")


def _partitions(admin: AdminClient, topic: str) -> int:
    return len(admin.list_topics(topic, timeout=ANSWER_S).topics[topic].partitions)


def _grow(admin: AdminClient, topic: str, count: int) -> None:
    if _partitions(admin, topic) < count:
        for answer in admin.create_partitions([NewPartitions(topic, count)], request_timeout=ANSWER_S).values():
            answer.result(ANSWER_S)
