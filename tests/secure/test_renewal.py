"""Secrets and certificates that are renewed while a process runs: its next connections use them."""

from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from deploy.preparing import make_topics
from deploy.settings import Settings, load_settings
from domain.errors import KafkaDown
from producers.connection import start_producer
from tests.secure.broker import PASSWORD, USER
from tests.secure.certificates import Authority
from tests.secure.conftest import Secured
from tests.secure.issuer import CLIENT, SECRET
from tests.secure.test_refusals_of_kafka import login, settings

pytestmark = [pytest.mark.secure, pytest.mark.integration]


@pytest.fixture
async def topic(secured: Secured, topic_prefix: str, tmp_path: Path) -> str:
    admin = {**settings(secured.kafka.address, "PLAINTEXT"), "PAYMENTS_TOPIC_PREFIX": topic_prefix}
    await make_topics(load_settings(admin, directory=tmp_path))
    name = f"{topic_prefix}OrderConfirmed"
    secured.kafka.allow(ResourceType.TOPIC, name, AclOperation.ALL)
    return name


async def send(producer: AIOKafkaProducer, topic: str) -> None:
    await producer.send_and_wait(topic, b"one more")


def cut(producer: AIOKafkaProducer) -> None:
    """End its connections, as a broker does that was restarted."""
    for connection in producer.client._conns.values():
        connection.close()


async def test_a_password_that_was_changed_is_read_again_by_a_client_that_runs(
    secured: Secured, topic: str, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    given = settings(secured.kafka.at("LOGIN"), "SASL_SSL", ssl_cafile=secured.ca, **login())
    del given["PAYMENTS_KAFKA_SASL_PASSWORD"]
    ours = load_settings({**given, "PAYMENTS_KAFKA_SASL_PASSWORD_FILE": str(file)}, directory=tmp_path)
    producer = await start_producer(ours.kafka_options())
    try:
        await send(producer, topic)
        secured.kafka.set_password("another, renewed")
        file.write_text("another, renewed")
        cut(producer)
        await send(producer, topic)
    finally:
        await producer.stop()
        secured.kafka.set_password()


async def test_a_client_certificate_that_was_renewed_is_shown_by_the_next_connection(
    secured: Secured, topic: str, tmp_path: Path
) -> None:
    certificate, key = Authority("another authority").issue(USER).write(tmp_path, "client")
    more = {"ssl_cafile": secured.ca, "ssl_certfile": certificate, "ssl_keyfile": key}
    options = load_settings(settings(secured.kafka.at("MTLS"), "SSL", **more), directory=tmp_path).kafka_options()
    with pytest.raises(KafkaDown):
        await start_producer(options)
    secured.authority.issue(USER).write(tmp_path, "client")
    producer = await start_producer(options)
    try:
        await send(producer, topic)
    finally:
        await producer.stop()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize(("listener", "protocol"), [("LOGIN", "SASL_SSL"), ("OPEN", "SASL_PLAINTEXT")])
async def test_every_login_with_a_password_is_taken(
    secured: Secured, topic: str, mechanism: str, listener: str, protocol: str, tmp_path: Path
) -> None:
    more: dict[str, str | Path] = {"ssl_cafile": secured.ca} if protocol == "SASL_SSL" else {}
    given = settings(secured.kafka.at(listener), protocol, **more, **login(mechanism=mechanism))
    producer = await start_producer(load_settings(given, directory=tmp_path).kafka_options())
    try:
        await send(producer, topic)
    finally:
        await producer.stop()


async def test_a_token_of_the_endpoint_is_a_login_and_its_secret_is_read_again(
    secured: Secured, topic: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text("not yet")
    given = settings(
        secured.kafka.at("LOGIN"),
        "SASL_SSL",
        ssl_cafile=secured.ca,
        sasl_mechanism="OAUTHBEARER",
        oauth_token_url=secured.issuer.url + "/token",
        oauth_client_id=CLIENT,
        oauth_client_secret_file=file,
    )
    ours: Settings = load_settings(given, directory=tmp_path)
    with pytest.raises(KafkaDown):
        await start_producer(ours.kafka_options())
    file.write_text(SECRET)
    producer = await start_producer(ours.kafka_options())
    try:
        await send(producer, topic)
    finally:
        await producer.stop()
