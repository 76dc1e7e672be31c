"""The rights that the chart gives to each role at Kafka are enough for its work, and only the relay may write."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError

from tests.chart.broker import PASSWORD, GuardedKafka
from tests.chart.manifests import kind_of, manifests
from tests.deploy.commands import payments
from tests.eventually import eventually
from tests.processes import started

PREFIX = "eu."
ORDER = {
    "type": "OrderConfirmed",
    "order_id": "A-1",
    "customer_id": "c-7",
    "currency": "EUR",
    "lines": [{"sku": "TEA", "quantity": 2, "unit_price_minor": 450}],
    "discount_minor": 0,
    "delivery_fee_minor": 0,
    "service_fee_minor": 0,
    "total_minor": 900,
    "payment_method": {"kind": "CARD", "token": "pm_card_visa"},
}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKafka]:
    """Start a broker that has the users of the example `full`, and the topics."""
    folder = tmp_path_factory.mktemp("guarded")
    server = GuardedKafka(folder)
    server.start()
    try:
        for user in kind_of(manifests("full"), "KafkaUser"):
            server.make_user(user["metadata"]["name"], user["spec"]["authorization"]["acls"])
        done = payments(folder, "topics", "create", **at(server))
        assert done.code == 0, done.err
        yield server
    finally:
        server.stop(immediate=True)


def at(server: GuardedKafka) -> dict[str, str]:
    return {
        "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": server.address,
        "PAYMENTS_TOPIC_PREFIX": PREFIX,
        "PAYMENTS_TOPIC_PARTITIONS": "1",
        "PAYMENTS_TOPIC_REPLICATION_FACTOR": "1",
    }


def login(role: str, kafka: GuardedKafka) -> dict[str, str]:
    return {
        "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": kafka.login,
        "PAYMENTS_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "PAYMENTS_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "PAYMENTS_KAFKA_SASL_USERNAME": f"payments-{role}",
        "PAYMENTS_KAFKA_SASL_PASSWORD": PASSWORD,
    }


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_an_order_is_paid_by_roles_that_have_their_own_rights_only(
    tmp_path: Path, kafka: GuardedKafka, database_url: str
) -> None:
    admin = {
        **at(kafka),
        "PAYMENTS_DATABASE_URL": database_url,
        "PAYMENTS_GATEWAY": "simulated",
        "PAYMENTS_SIMULATED_LATENCY_MS": "0",
    }
    for command in (("migrate",), ("stock", "set", "TEA", "10")):
        done = payments(tmp_path, *command, **admin)
        assert done.code == 0, done.err
    with (
        started(tmp_path, "relay", **{**admin, **login("relay", kafka)}) as relay,
        started(tmp_path, "sweep", **{**admin, **login("sweep", kafka)}) as sweep,
        started(tmp_path, "consume", "all", **{**admin, **login("consume", kafka)}) as consume,
    ):
        for role in (relay, sweep, consume):
            role.await_line("running")
        done = payments(tmp_path, "publish", "-", stdin=json.dumps(ORDER), **admin)
        assert done.code == 0, done.err

        def status() -> Any:
            shown = payments(tmp_path, "order", "show", "A-1", "--json", **admin)
            return json.loads(shown.out)["status"] if shown.code == 0 else shown.err

        eventually(lambda: status() == "paid_and_confirmed", lambda: f"A-1 is {status()}; {consume.log}{relay.log}")
        for role in (relay, sweep, consume):
            assert role.stop() == 0
            assert "cannot be read" not in role.log, role.log
            assert "uthoriz" not in role.log.replace("authorize_payment", "").replace("PaymentAuthorized", ""), role.log


@pytest.mark.integration
@pytest.mark.parametrize("role", ["consume", "sweep"])
def test_a_role_that_is_no_relay_cannot_write(kafka: GuardedKafka, role: str) -> None:
    async def send() -> None:
        told = login(role, kafka)
        producer = AIOKafkaProducer(
            bootstrap_servers=kafka.login,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_plain_username=told["PAYMENTS_KAFKA_SASL_USERNAME"],
            sasl_plain_password=PASSWORD,
        )
        await producer.start()
        try:
            await producer.send_and_wait(PREFIX + "PaidAndConfirmed", b"money for nothing")
        finally:
            await producer.stop()

    with pytest.raises(TopicAuthorizationFailedError):
        asyncio.run(send())
