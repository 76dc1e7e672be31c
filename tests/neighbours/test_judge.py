"""The judge of kits is not blind: a kit that is spoilt in one place is found wrong."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deploy.embedded import EmbeddedServers
from tests.neighbours.checks import Missing
from tests.neighbours.kits import ALL, Prepared
from tests.neighbours.publishing import check_publishing, write_orders
from tests.neighbours.subscribing import check_subscribing
from tests.neighbours.world import World, open_world

pytestmark = [pytest.mark.neighbours, pytest.mark.kill, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Spoilt:
    """A kit, and one place in a file of its copy that is replaced."""

    kit: str
    file: str
    right: str
    wrong: str

    def prepare(self) -> Prepared:
        kit = next(one for one in ALL if one.name == self.kit)
        try:
            made = kit.prepare(kit, print)
        except Missing as missing:
            pytest.skip(str(missing))
        text = (made.folder / self.file).read_text("utf-8")
        assert self.right in text
        (made.folder / self.file).write_text(text.replace(self.right, self.wrong), "utf-8")
        return made


@pytest.fixture
def world(own_servers: EmbeddedServers, topic_prefix: str, tmp_path: Path) -> Iterator[World]:
    servers = own_servers
    with open_world(servers.kafka_bootstrap, servers.database_url, topic_prefix, tmp_path, servers.data_dir) as made:
        yield made


def test_a_spoilt_kit_is_found_wrong(world: World, tmp_path: Path) -> None:
    aiokafka, confluent = "python-aiokafka", "python-confluent"
    publishers = {
        "not idempotent": Spoilt(aiokafka, "publish.py", ", enable_idempotence=True", ""),
        "partition": Spoilt(confluent, "publish.py", '"murmur2_random"', '"consistent_random"'),
        "headers": Spoilt(aiokafka, "publish.py", '("ce_specversion", b"1.0"),', ""),
        "the body is": Spoilt(aiokafka, "contract.py", "body.write(self._heads[name])", "pass"),
    }
    for number, (fault, spoilt) in enumerate(publishers.items()):
        with pytest.raises(AssertionError, match=fault):
            check_publishing(spoilt.prepare(), world, write_orders(f"order-{number}", paid=8, declined=1))
    early, late = "then 'cancelled' else 'to_send'", "case state when 'sent' then 'recall' else 'cancelled' end"
    subscribers = (
        ("after redelivery: too many", "row[0] == 1", "row[0] >= 1"),
        ("before COMMIT_INTERVAL_MS", "await offsets.commit_when_due()", "await offsets.commit()"),
        ("a late cancel and an early one: goods are", late, "'cancelled'"),
        ("goods are", early, "then 'to_send' else 'to_send'"),
    )
    for number, (fault, right, wrong) in enumerate(subscribers):
        kit = replace(Spoilt(aiokafka, "subscribe.py", right, wrong).prepare(), name=f"spoilt-{number}")
        orders = write_orders(f"told-{number}", paid=4, declined=1)
        check_publishing(kit, world, orders)
        with pytest.raises(AssertionError, match=fault):
            check_subscribing(kit, world, orders, tmp_path)
