"""Publishes OrderConfirmed. Each line of standard input is an event as JSON; times are ISO 8601.

A line comes out of the outbox of checkout: event_id and occurred_at were drawn and stored when the order was confirmed.
So a line that is published again is the same event, and has no effect. Prints where each event is stored. Ends with an
error if one was not stored: then publish the same lines again.
"""

import json
import os
import sys
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

import environment
from contract import Contract

EVENT: Final = "OrderConfirmed"
SOURCE: Final = b"/checkout"
KAFKA: Final = environment.kafka()
TOPIC: Final = os.environ.get("TOPIC_PREFIX", "") + EVENT
SCHEMAS: Final = environment.schemas()
SETTINGS: Final = {
    "bootstrap.servers": KAFKA,
    "acks": "all",
    "enable.idempotence": True,
    # Without it the key goes to another partition than with Java's client.
    "partitioner": "murmur2_random",
    "compression.type": "none",
    "linger.ms": 5,
}


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


def publish(lines: list[str]) -> None:
    """Publish all lines. Raises KafkaException when an event is not known to be stored."""
    contract = Contract(SCHEMAS)
    producer = Producer(SETTINGS)
    failed: list[KafkaError] = []

    def note(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed.append(error)
            return
        order_id = (message.key() or b"").decode()
        print(json.dumps({"order_id": order_id, "at": [message.partition(), message.offset()]}), flush=True)

    for line in lines:
        event = json.loads(line)
        event["occurred_at"] = _time(event["occurred_at"])
        body, key = contract.encode(EVENT, event), event["order_id"].encode()
        _produce(producer, body, key=key, headers=headers(event), on_delivery=note)
    producer.flush()
    if failed:
        raise KafkaException(failed[0])


def _produce(producer: Producer, body: bytes, **more: Any) -> None:
    """Hand a message to the client; wait while its queue is full."""
    while True:
        try:
            producer.produce(TOPIC, body, **more)
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no zone: fastavro would take it for local time")
    return time


if __name__ == "__main__":
    publish([line for line in sys.stdin if line.strip()])
