"""The producer's options; starting, stopping and discarding a producer; a client for requests."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
)

from domain.errors import KafkaDown, Transient

# Kafka's brokers refuse batches over max.message.bytes, 1,048,588 bytes unless a topic says otherwise.
BATCH_BYTES_MAX = 1_000_000
REQUEST_TIMEOUT_MS = 20_000
# All relays see new partitions within this time. Then they agree on an order's partition.
METADATA_MAX_AGE_MS = 15_000
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 5
BREAK_OFF_S = 2
COORDINATOR_S = 20
AGAIN_S = 0.1
REFUSED_CREDENTIALS = (AuthenticationFailedError, SaslAuthenticationFailed)
# What the client raises when a broker does not answer. A broker that is killed breaks the connection, and the client
# hears of it a moment later. uvloop refuses to write in between, with a plain RuntimeError, and aiokafka 0.14 expects
# OSError alone. Nothing but calls to the client may stand where this is caught: a RuntimeError of ours is a bug.
NO_ANSWER = (KafkaError, TimeoutError, OSError, RuntimeError)

_log = structlog.get_logger("producers.connection")


def producer_options(kafka: Mapping[str, Any]) -> dict[str, Any]:
    """Return every option of the producer. kafka: the brokers' address and the login.

    Batches are not compressed: that would take time from orders. To save disk space, set `compression.type` on the
    topic, and the broker compresses. linger_ms is 0 because the publisher sends whole batches.
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
            await begun(producer.start())
    except BaseException as error:
        await discard_producer(producer)
        if isinstance(error, NO_ANSWER):
            raise start_failure(kafka, error) from error
        raise
    return producer


def start_failure(kafka: Mapping[str, Any], error: Exception) -> Transient:
    """Return why no connection was made, and what to check."""
    servers = kafka["bootstrap_servers"]
    if isinstance(error, REFUSED_CREDENTIALS):
        return KafkaDown(f"Kafka at {servers} refused the login: check the PAYMENTS_KAFKA_SASL_ settings")
    if isinstance(error, ClusterAuthorizationFailedError):
        return KafkaDown(
            f"Kafka at {servers} forbids our user what we ask: grant Write on a topic that it publishes (or "
            "IdempotentWrite on the cluster)"
        )
    if isinstance(error, KafkaConnectionError | TimeoutError | OSError | RuntimeError):
        return KafkaDown(f"no Kafka broker answers at {servers}: check that it runs and the address is right")
    return KafkaDown(f"Kafka at {servers} answered {type(error).__name__}: try again")


@asynccontextmanager
async def admin_client(
    kafka: Mapping[str, Any], client_id: str, about: str, timeout_ms: int
) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give a client for requests to the brokers, and close it at the end. about: the subject, for the text of an error.

    Raises DownForEverybody when no broker answers or the login is refused, Transient when a request fails.
    """
    admin = AIOKafkaAdminClient(client_id=client_id, request_timeout_ms=timeout_ms, **kafka)
    try:
        try:
            await begun(admin.start())
        except NO_ANSWER as error:
            raise start_failure(kafka, error) from error
        try:
            yield admin
        except NotImplementedError:
            raise  # the broker's release is too new or too old for the request, and stays so
        except NO_ANSWER as error:
            raise Transient(f"Kafka did not answer {about} ({type(error).__name__}): try again") from error
    finally:
        await _close_client(admin._client)  # noqa: SLF001 - its own close() may raise


async def coordinator_of(admin: AIOKafkaAdminClient, group: str) -> int:
    """Find the node that coordinates a group. A fresh broker first makes the topic for offsets: that is waited for.

    Raises GroupCoordinatorNotAvailableError after COORDINATOR_S.
    """
    until = asyncio.get_running_loop().time() + COORDINATOR_S
    while True:
        try:
            node: int = await admin.find_coordinator(group)
        except GroupCoordinatorNotAvailableError:
            if asyncio.get_running_loop().time() > until:
                raise
            await asyncio.sleep(AGAIN_S)
        else:
            return node


async def begun(start: Coroutine[Any, Any, None]) -> None:
    """Await a client's start. If we are cancelled meanwhile, let it end first, for at most BREAK_OFF_S.

    aiokafka forgets a connection that is open while its start is cancelled: it closes only those that it has noted.
    """
    starting = asyncio.ensure_future(start)
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting], timeout=BREAK_OFF_S)
        raise
    finally:
        if not starting.cancel() and not starting.cancelled():
            # An error that nobody asks for any more would be logged when it is collected.
            starting.exception()


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """Stop a producer whose batches all have an answer. If that takes too long, discard it.

    What the client raises is only logged.
    """
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await producer.stop()
    except BaseException as error:
        # The caller has let go of it: nobody else would close its connections.
        await discard_producer(producer)
        if not isinstance(error, Exception):
            raise
        _log.warning("stopped a producer with an error", error=repr(error))


async def discard_producer(producer: AIOKafkaProducer) -> None:
    """Stop a producer at once, whatever it has not sent.

    Its own stop() waits until every batch has an answer, and an idempotent batch is retried for ever. What the client
    raises is only logged.
    """
    producer._closed = True  # noqa: SLF001 - what stop() sets first
    # The sender waits for running requests, and then perhaps for metadata that never come. The time-out cancels it.
    try:
        async with asyncio.timeout(1):
            await producer._sender.close()  # noqa: SLF001 - there is no public way to give up
    except Exception as error:  # noqa: BLE001 - whatever it is, nobody needs this producer any more
        _log.warning("discarded a producer with an error", error=repr(error))
    await _close_client(producer.client)


async def _close_client(client: AIOKafkaClient) -> None:
    """Close all connections at once. What the client raises is only logged.

    The library's close waits half a minute for a silent TLS peer.
    """
    for connection in list(client._conns.values()):  # noqa: SLF001 - there is no public way to abort
        if connection._writer is not None:  # noqa: SLF001 - as above
            connection._writer.transport.abort()  # noqa: SLF001 - as above
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await client.close()
    except asyncio.CancelledError:
        # Unless our task was cancelled, an earlier time-out has cancelled a future that the library awaits again.
        if (task := asyncio.current_task()) is not None and task.cancelling() > 0:
            raise
    except Exception as error:  # noqa: BLE001 - as above
        _log.warning("closed a client with an error", error=repr(error))
        # It raises what its own task died of, before it comes to its connections.
        for connection in list(client._conns.values()):  # noqa: SLF001 - as above
            with suppress(Exception):
                connection.close()


def has_died(producer: AIOKafkaProducer) -> bool:
    """Whether the task that sends has ended, or the one that looks for leaders and partitions. Nothing restarts them.

    Without the second, the producer goes on and does not see new partitions: it would send an order's events to another
    partition than other relays do.
    """
    tasks = (producer._sender.sender_task, producer.client._sync_task)  # noqa: SLF001 - there is no public way to ask
    return any(task is not None and task.done() for task in tasks)
