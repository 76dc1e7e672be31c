"""Publishes OrderConfirmed. Each line of standard input is an event as JSON; times are ISO 8601.

A line comes out of the outbox of checkout: event_id and occurred_at were drawn and stored when the order was confirmed.
So a line that is published again is the same event, and has no effect. Prints where each event is stored. Ends with an
error if one was not stored: then publish the same lines again.
"""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaProducer

import environment
from contract import Contract

EVENT: Final = "OrderConfirmed"
SOURCE: Final = b"/checkout"
TOGETHER_MAX: Final = 500
KAFKA: Final = environment.kafka()
TOPIC: Final = os.environ.get("TOPIC_PREFIX", "") + EVENT
SCHEMAS: Final = environment.schemas()


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


async def publish(lines: list[str]) -> None:
    """Publish all lines. Raises KafkaError when an event is not known to be stored."""
    contract = Contract(SCHEMAS)
    # The default partitioner is Java's murmur2, and compression is off.
    producer = AIOKafkaProducer(bootstrap_servers=KAFKA, acks="all", enable_idempotence=True, linger_ms=5)
    await producer.start()
    try:
        for first in range(0, len(lines), TOGETHER_MAX):
            events = [json.loads(line) for line in lines[first : first + TOGETHER_MAX]]
            sent = []
            for event in events:
                event["occurred_at"] = _time(event["occurred_at"])
                body, key = contract.encode(EVENT, event), event["order_id"].encode()
                sent.append(await producer.send(TOPIC, body, key=key, headers=headers(event)))
            for event, stored in zip(events, await asyncio.gather(*sent), strict=True):
                print(json.dumps({"order_id": event["order_id"], "at": [stored.partition, stored.offset]}), flush=True)
    finally:
        await producer.stop()


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no zone: fastavro would take it for local time")
    return time


if __name__ == "__main__":
    asyncio.run(publish([line for line in sys.stdin if line.strip()]))
