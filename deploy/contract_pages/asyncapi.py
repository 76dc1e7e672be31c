"""The AsyncAPI 3 document of the topics, for tools that read one: generated, and never written by hand.

It is written from this module's point of view, as AsyncAPI asks: it *sends* its own events, and *receives* those of
others and its own that it consumes. Sources: asyncapi.com/docs/reference/specification/v3.0.0; the
Kafka binding 0.5.0.
"""

from io import BytesIO
from typing import Any, Final

from fastavro import schemaless_reader

from deploy.contract_pages.facts import PARTITIONER, Contract, EventFacts
from deploy.contract_pages.letters import letter_headers
from schemas.envelope import CONTENT_TYPE
from schemas.framing import HEADS
from schemas.shapes import SHAPES

VERSION: Final = "3.0.0"
AVRO: Final = "application/vnd.apache.avro;version=1.9.0"
BINDING: Final = "0.5.0"
_LETTER: Final = "DeadLetter"


def asyncapi_of(contract: Contract) -> dict[str, Any]:
    """Return the document as JSON values."""
    events = contract.events.values()
    document = {
        "asyncapi": VERSION,
        "info": {
            "title": "payments",
            "version": contract.release,
            "description": "From a confirmed order to Paid & Confirmed, or Payment Failed with the money back. "
            "Bodies are Avro, as single objects or in a registry's framing; both are read.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": _servers(contract),
        "channels": {event.event_type: _channel(contract, event) for event in events}
        | {f"{event.event_type}.dlt": _letters_channel(event) for event in events if event.dead_letters},
        "operations": _operations(contract),
        "components": {
            "messages": {event.event_type: _message(event) for event in events} | {_LETTER: _letter()},
        },
    }
    return document if contract.bootstrap else {name: part for name, part in document.items() if name != "servers"}


def _servers(contract: Contract) -> dict[str, Any]:
    protocol = "kafka-secure" if contract.secure else "kafka"
    return {
        f"broker-{number}": {"host": address.strip(), "protocol": protocol}
        for number, address in enumerate(contract.bootstrap, start=1)
    }


def _channel(contract: Contract, event: EventFacts) -> dict[str, Any]:
    configs = contract.topics.configs()
    return {
        "address": event.topic,
        "title": event.event_type,
        "description": f"{event.doc} Only {event.publisher} publishes it.",
        "messages": {event.event_type: {"$ref": f"#/components/messages/{event.event_type}"}},
        "bindings": {
            "kafka": {
                "topic": event.topic,
                "partitions": contract.topics.partitions,
                "replicas": contract.topics.replication_factor,
                "topicConfiguration": {
                    "cleanup.policy": [configs["cleanup.policy"]],
                    # As `payments topics create` makes it, for others' topics, too: a replay begins at the beginning.
                    "retention.ms": int(configs["retention.ms"]),
                    "retention.bytes": int(configs["retention.bytes"]),
                    "max.message.bytes": int(configs["max.message.bytes"]),
                },
                "bindingVersion": BINDING,
            }
        },
        "x-partitioner": PARTITIONER,
        "x-publisher": event.publisher,
        "x-readers": list(event.readers),
    }


def _letters_channel(event: EventFacts) -> dict[str, Any]:
    return {
        "address": event.dead_letters,
        "title": f"Dead letters of {event.event_type}",
        "description": f"Copies of messages of {event.topic} that could not be processed, with the reason in a header.",
        "messages": {_LETTER: {"$ref": f"#/components/messages/{_LETTER}"}},
    }


def _operations(contract: Contract) -> dict[str, Any]:
    operations = {}
    for event in contract.events.values():
        name = event.event_type
        if event.publisher == "payments":
            operations[f"send{name}"] = _operation("send", name, f"This module publishes {name}.")
        if event.dead_letters:
            operations[f"receive{name}"] = _operation("receive", name, f"This module reads {name}.")
            what = f"This module copies what it cannot process of {name}."
            operations[f"send{name}Letter"] = _operation("send", f"{name}.dlt", what, _LETTER)
    return operations


def _operation(action: str, channel: str, summary: str, message: str | None = None) -> dict[str, Any]:
    channel_ref = f"#/channels/{channel}"
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": channel_ref},
        "messages": [{"$ref": f"{channel_ref}/messages/{message or channel}"}],
    }


def _message(event: EventFacts) -> dict[str, Any]:
    example = event.example
    return {
        "name": event.event_type,
        "title": event.event_type,
        "summary": event.doc,
        "contentType": CONTENT_TYPE,
        "headers": _text_headers(example.headers),
        "payload": {"schemaFormat": AVRO, "schema": event.schema},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"{event.key}, in UTF-8"},
                "bindingVersion": BINDING,
            }
        },
        "examples": [{"name": "example", "headers": example.headers, "payload": _plain(event)}],
        "x-crc-64-avro": event.fingerprint,
        "x-registry-subject": event.subject,
        "x-example": {
            "key": example.key,
            "headers": example.headers,
            "event": example.form,
            "single-object-hex": example.single_object.hex(),
            "registry-schema-id": example.schema_id,
            "registry-hex": example.registry.hex(),
        },
    }


def _plain(event: EventFacts) -> Any:
    """Return the example as tools see it that know no logical types: times are microseconds since 1970."""
    body = BytesIO(event.example.single_object[len(HEADS[event.event_type]) :])
    return schemaless_reader(body, SHAPES[event.event_type].wire, None)


def _letter() -> dict[str, Any]:
    return {
        "name": _LETTER,
        "title": "Dead letter",
        "summary": "A message as it came, card numbers masked and payment tokens hidden, with headers that say why.",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "properties": {
                header.name: {"type": "string", "description": header.meaning} for header in letter_headers()
            },
        },
    }


def _text_headers(example: dict[str, str]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(example),
        "properties": {name: {"type": "string", "examples": [value]} for name, value in example.items()},
    }
