"""The producer's options, how a producer is started and got rid of, and how brokers are asked."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
)

from domain.errors import KafkaDown, Transient

# Kafka's brokers refuse batches over max.message.bytes, 1,048,588 bytes unless a topic says otherwise.
BATCH_BYTES_MAX = 1_000_000
REQUEST_TIMEOUT_MS = 20_000
# New partitions and moved leaders are seen within this time; all relays agree on an order's partition then.
METADATA_MAX_AGE_MS = 15_000
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 5
REFUSED_CREDENTIALS = (AuthenticationFailedError, SaslAuthenticationFailed, ClusterAuthorizationFailedError)


def producer_options(kafka: Mapping[str, Any]) -> dict[str, Any]:
    """State every option of the producer; kafka holds where the brokers are and how to log in.

    Batches are not compressed: that would cost time which this module needs for orders. Whoever wants them small on
    disk sets `compression.type` on the topic, and the broker does it.
    linger_ms is 0 because the publisher hands over whole batches.
    """
    return {
        "client_id": "payments-publisher",
        "enable_idempotence": True,
        "acks": "all",
        "max_batch_size": BATCH_BYTES_MAX,
        "linger_ms": 0,
        "compression_type": None,
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "retry_backoff_ms": 100,
        "metadata_max_age_ms": METADATA_MAX_AGE_MS,
        "connections_max_idle_ms": 540_000,
        **kafka,
    }


async def start_producer(kafka: Mapping[str, Any]) -> AIOKafkaProducer:
    """Connect a producer and get its id from the brokers.

    Raises DownForEverybody when no broker answers or the login is refused, Transient for anything else.
    """
    producer = AIOKafkaProducer(**producer_options(kafka))
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            await producer.start()
    except BaseException as error:
        await discard_producer(producer)
        if isinstance(error, KafkaError | TimeoutError | OSError):
            raise start_failure(kafka, error) from error
        raise
    return producer


def start_failure(kafka: Mapping[str, Any], error: Exception) -> Transient:
    """Say why no connection came about, and what to look at."""
    servers = kafka["bootstrap_servers"]
    if isinstance(error, REFUSED_CREDENTIALS):
        return KafkaDown(f"Kafka at {servers} refused the login: check the PAYMENTS_KAFKA_SASL_ settings")
    if isinstance(error, KafkaConnectionError | TimeoutError | OSError):
        return KafkaDown(f"no Kafka broker answers at {servers}: check that it runs and the address is right")
    return KafkaDown(f"Kafka at {servers} answered {type(error).__name__}: try again")


@asynccontextmanager
async def admin_client(
    kafka: Mapping[str, Any], client_id: str, about: str, timeout_ms: int
) -> AsyncIterator[AIOKafkaAdminClient]:
    """Lend a client that asks brokers; closed at the end. about: what is asked, for the text of an error.

    Raises DownForEverybody when no broker answers or the login is refused, Transient for what goes unanswered inside.
    """
    admin = AIOKafkaAdminClient(client_id=client_id, request_timeout_ms=timeout_ms, **kafka)
    try:
        try:
            await admin.start()
        except (KafkaError, TimeoutError, OSError) as error:
            raise start_failure(kafka, error) from error
        try:
            yield admin
        except (KafkaError, TimeoutError, OSError) as error:
            raise Transient(f"Kafka did not answer {about} ({type(error).__name__}): try again") from error
    finally:
        await admin.close()


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """Close a producer whose batches all have an answer; one that does not end in time is discarded."""
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await producer.stop()
    except (KafkaError, TimeoutError):
        await discard_producer(producer)


async def discard_producer(producer: AIOKafkaProducer) -> None:
    """End a producer at once, whatever it still holds.

    Its own stop() waits for as long as a batch has no answer, and an idempotent batch is tried for ever.
    """
    producer._closed = True  # noqa: SLF001 - what stop() sets first
    # The sender waits for requests under way, and then perhaps for metadata that never come: the time-out cancels that.
    try:
        async with asyncio.timeout(1):
            await producer._sender.close()  # noqa: SLF001 - there is no public way to give up
    except (KafkaError, TimeoutError):
        pass
    await _close_client(producer.client)


async def _close_client(client: AIOKafkaClient) -> None:
    """Close all connections at once: the library's close waits for the other side, for half a minute with TLS."""
    for connection in list(client._conns.values()):  # noqa: SLF001 - there is no public way to abort
        if connection._writer is not None:  # noqa: SLF001 - as above
            connection._writer.transport.abort()  # noqa: SLF001 - as above
    task = asyncio.current_task()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await client.close()
    except (KafkaError, TimeoutError, OSError):
        pass
    except asyncio.CancelledError:
        # Not ours: a time-out has cancelled a future before, for which the library waits once more.
        if task is not None and task.cancelling() > 0:
            raise
