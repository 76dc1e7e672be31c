"""The AsyncAPI document hangs together. `deploy/kits/contract-check` holds it against the official parser as well."""

import json
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer
from jsonschema import Draft7Validator

from deploy.contract_pages.asyncapi import AVRO, asyncapi_of
from deploy.contract_pages.facts import contract_of
from deploy.settings import Settings
from deploy.topics import owners_of
from schemas.shapes import SHAPES, load
from schemas.topics import CONSUMED, TOPICS

PREFIX = "shop."
DOCUMENT = json.loads(json.dumps(asyncapi_of(contract_of(Settings(topic_prefix=PREFIX)))))


def find(reference: str) -> Any:
    """Return what a reference leads to."""
    assert reference.startswith("#/")
    found = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if "$ref" in part else []
        return own + [reference for each in part.values() for reference in references(each)]
    return [reference for each in part for reference in references(each)] if isinstance(part, list) else []


def test_every_reference_leads_somewhere() -> None:
    found = references(DOCUMENT["channels"]) + references(DOCUMENT["operations"])
    assert len(found) > 2 * len(TOPICS)
    assert all(isinstance(find(reference), dict) for reference in found)
    with pytest.raises(KeyError):
        find("#/channels/Nowhere")


def test_channels_are_the_topics_of_the_deployment_dead_letters_included() -> None:
    addresses = [channel["address"] for channel in DOCUMENT["channels"].values()]
    assert sorted(addresses) == sorted(owners_of(PREFIX))


def test_this_module_sends_its_own_events_and_receives_what_it_consumes() -> None:
    by_action: dict[str, set[str]] = {"send": set(), "receive": set()}
    for operation in DOCUMENT["operations"].values():
        by_action[operation["action"]].add(find(operation["channel"]["$ref"])["address"].removeprefix(PREFIX))
        channel = operation["channel"]["$ref"]
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])
    assert by_action["receive"] == set(CONSUMED)
    own = {event_type for event_type, topic in TOPICS.items() if topic.ours}
    assert by_action["send"] == own | {f"{event_type}.dlt" for event_type in CONSUMED}


@pytest.mark.parametrize("event_type", TOPICS)
def test_a_message_has_our_very_schema_and_an_example_that_fits_it(event_type: str) -> None:
    message = DOCUMENT["components"]["messages"][event_type]
    assert message["payload"] == {"schemaFormat": AVRO, "schema": load(event_type)}
    assert message["x-crc-64-avro"] == SHAPES[event_type].fingerprint.hex()

    parse_schema(message["payload"]["schema"])
    (example,) = message["examples"]
    body = BytesIO()
    schemaless_writer(body, SHAPES[event_type].wire, example["payload"], strict=True)
    assert body.getvalue().hex() == message["x-example"]["single-object-hex"][20:], "the same event as its bytes"

    validator = Draft7Validator(message["headers"])
    validator.validate(example["headers"])
    assert not validator.is_valid({}), "headers are required"


def test_servers_stand_there_only_if_brokers_are_set() -> None:
    assert "servers" not in DOCUMENT
    brokers = Settings(kafka_bootstrap_servers="a:9092,b:9092", kafka_security_protocol="SSL")
    servers = asyncapi_of(contract_of(brokers))["servers"]
    assert [(server["host"], server["protocol"]) for server in servers.values()] == [
        ("a:9092", "kafka-secure"),
        ("b:9092", "kafka-secure"),
    ]
