"""Tokens end while orders flow. The broker ends the connections with them; nobody is alarmed, and no order is late."""

import sys
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from tests.deploy.commands import payments
from tests.deploy.orders import confirmed, publish, status_of
from tests.eventually import eventually
from tests.processes import started
from tests.secure.conftest import Secured
from tests.secure.issuer import CLIENT, SECRET
from tests.secure.test_refusals_of_kafka import settings

pytestmark = [pytest.mark.secure, pytest.mark.integration]

LATE_S = 5.0
LONG_S, SHORT_S = 30.0, 4.0


async def times_of(servers: str, topic: str) -> dict[bytes, int]:
    """Return when each key was first written, in milliseconds."""
    found: dict[bytes, int] = {}
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest", group_id=None)
    async with consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                for record in (await consumer.getmany(partition, timeout_ms=500)).get(partition, []):
                    found.setdefault(bytes(record.key), record.timestamp)
    return found


@pytest.mark.parametrize(
    ("life_s", "ends"),
    [
        pytest.param(SHORT_S, 3, id="short"),
        pytest.param(LONG_S, 10, id="long", marks=[pytest.mark.long, pytest.mark.alone]),
    ],
)
@pytest.mark.timeout(900)
async def test_orders_flow_on_while_tokens_end(
    secured: Secured, topic_prefix: str, database_url: str, tmp_path: Path, life_s: float, ends: int
) -> None:
    common = {
        "PAYMENTS_DATABASE_URL": database_url,
        "PAYMENTS_TOPIC_PREFIX": topic_prefix,
        "PAYMENTS_TOPIC_PARTITIONS": "1",
        "PAYMENTS_GATEWAY": "simulated",
        "PAYMENTS_SIMULATED_LATENCY_MS": "0",
    }
    shop = {**common, **settings(secured.kafka.address, "PLAINTEXT")}
    token = settings(
        secured.kafka.at("LOGIN"),
        "SASL_SSL",
        ssl_cafile=secured.ca,
        sasl_mechanism="OAUTHBEARER",
        oauth_token_url=secured.issuer.url + "/token",
        oauth_client_id=CLIENT,
        oauth_client_secret=SECRET,
    )
    for arguments in (("migrate",), ("topics", "create"), ("stock", "set", "tea", "100000")):
        ran = payments(tmp_path, *arguments, **shop)
        assert ran.code == 0, ran.err
    for kind in (ResourceType.TOPIC, ResourceType.GROUP):
        secured.kafka.allow(kind, topic_prefix, AclOperation.ALL, pattern=ResourcePatternType.PREFIXED)
    secured.issuer.life_s, given = life_s, secured.issuer.given
    names: list[str] = []
    try:
        with (
            started(tmp_path, "consume", "all", **{**common, **token}) as consume,
            started(tmp_path, "relay", **{**common, **token}) as relay,
        ):
            for process in (consume, relay):
                process.await_line("running")
            began = time.monotonic()
            while time.monotonic() - began < life_s * ends:
                names.append(f"A-{len(names)}")
                publish(tmp_path, shop, confirmed(names[-1]))
            for name in names:
                eventually(lambda name=name: status_of(shop, name) == "paid_and_confirmed", f"{name} is paid")  # type: ignore[misc]
            written = f"{topic_prefix}PaidAndConfirmed"
            servers = secured.kafka.address
            outcomes = await times_of(servers, written)
            while len(outcomes) < len(names):
                outcomes = await times_of(servers, written)
            log = consume.log + relay.log
            assert (consume.stop(), relay.stop()) == (0, 0)
    finally:
        secured.issuer.life_s = 3600.0
    asked = await times_of(servers, f"{topic_prefix}OrderConfirmed")
    latest_s = max(outcomes[name.encode()] - asked[name.encode()] for name in names) / 1000
    measured = f"{ends} ends of tokens of {life_s:g} s: the latest outcome after {latest_s:.2f} s"
    sys.stderr.write(f"{len(names)} orders over {measured}\n")
    assert "alarm=true" not in log, log
    assert secured.issuer.given - given >= 2 * ends
    if life_s == LONG_S:
        assert latest_s <= LATE_S
