"""Publishes OrderConfirmed. Each line of standard input is an event as JSON; times are ISO 8601.

A line comes out of the outbox of checkout: event_id and occurred_at were drawn and stored when the order was confirmed.
So a line that is published again is the same event, and has no effect. Prints where each event is stored. Ends with an
error if one was not stored: then publish the same lines again. A line that is no such event ends it with 2, before any
is published.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer

import environment
from contract import Contract

EVENT: Final = "OrderConfirmed"
SOURCE: Final = b"/checkout"
TOGETHER_MAX: Final = 500
KAFKA: Final = environment.kafka()
TOPIC: Final = os.environ.get("TOPIC_PREFIX", "") + EVENT
SCHEMAS: Final = environment.schemas()
WRONG_LINE: Final = 2
NO_EVENT: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class Sendable(NamedTuple):
    """What is published of an event."""

    order_id: str
    body: bytes
    headers: list[tuple[str, bytes]]


def headers(event: dict[str, Any]) -> list[tuple[str, bytes]]:
    """Return the headers of an event: CloudEvents 1.0 in Kafka's binary mode."""
    at = event["occurred_at"].astimezone(UTC).isoformat().replace("+00:00", "Z")
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(event["event_id"]).encode()),
        ("ce_source", SOURCE),
        ("ce_type", EVENT.encode()),
        ("ce_time", at.encode()),
        ("ce_subject", event["order_id"].encode()),
        ("content-type", b"application/avro"),
    ]


async def publish(messages: list[Sendable]) -> None:
    """Publish all of them. Raises KafkaError when one is not known to be stored."""
    # The default partitioner is Java's murmur2, and compression is off.
    producer = AIOKafkaProducer(bootstrap_servers=KAFKA, acks="all", enable_idempotence=True, linger_ms=5)
    await producer.start()
    try:
        for first in range(0, len(messages), TOGETHER_MAX):
            batch = messages[first : first + TOGETHER_MAX]
            sent = [await producer.send(TOPIC, m.body, key=m.order_id.encode(), headers=m.headers) for m in batch]
            for message, stored in zip(batch, await asyncio.gather(*sent), strict=True):
                print(json.dumps({"order_id": message.order_id, "at": [stored.partition, stored.offset]}), flush=True)
    finally:
        await producer.stop()


def read(contract: Contract, lines: Iterable[bytes]) -> list[Sendable]:
    """Return the messages of all lines, or say which line is no event and end the program."""
    messages = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                messages.append(_message(contract, json.loads(line)))
            except NO_EVENT as wrong:
                # Some messages show the value, and with it the token of a payment.
                why = re.sub(r"{.*}", "...", f"{type(wrong).__name__}: {wrong}".splitlines()[0])
                told = f"line {number} is no {EVENT} ({why}): mend it and publish all lines again; none was published"
                print(told, file=sys.stderr)
                raise SystemExit(WRONG_LINE) from None
    return messages


def _message(contract: Contract, event: dict[str, Any]) -> Sendable:
    event["occurred_at"] = _time(event["occurred_at"])
    return Sendable(event["order_id"], contract.encode(EVENT, event), headers(event))


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no zone: fastavro would take it for local time")
    return time


if __name__ == "__main__":
    asyncio.run(publish(read(Contract(SCHEMAS), sys.stdin.buffer)))
