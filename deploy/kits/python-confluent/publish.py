"""Publishes OrderConfirmed. Each line of standard input is an event as JSON; times are ISO 8601.

A line comes out of the outbox of checkout: event_id and occurred_at were drawn and stored when the order was confirmed.
So a line that is published again is the same event, and has no effect. Prints where each event is stored. Ends with an
error if one was not stored: then publish the same lines again. A line that is no such event ends it with 2, before any
is published.
"""

import json
import os
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

import environment
from contract import Contract

EVENT: Final = "OrderConfirmed"
SOURCE: Final = b"/checkout"
KAFKA: Final = environment.kafka()
TOPIC: Final = os.environ.get("TOPIC_PREFIX", "") + EVENT
SCHEMAS: Final = environment.schemas()
WRONG_LINE: Final = 2
NO_EVENT: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
SETTINGS: Final = {
    "bootstrap.servers": KAFKA,
    "acks": "all",
    "enable.idempotence": True,
    # Without it the key goes to another partition than with Java's client.
    "partitioner": "murmur2_random",
    "compression.type": "none",
    "linger.ms": 5,
}


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


def publish(messages: list[Sendable]) -> None:
    """Publish all of them. Raises KafkaException when one is not known to be stored."""
    producer = Producer(SETTINGS)
    failed: list[KafkaError] = []

    def note(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed.append(error)
            return
        order_id = (message.key() or b"").decode()
        print(json.dumps({"order_id": order_id, "at": [message.partition(), message.offset()]}), flush=True)

    for one in messages:
        _produce(producer, one.body, key=one.order_id.encode(), headers=one.headers, on_delivery=note)
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
    publish(read(Contract(SCHEMAS), sys.stdin.buffer))
