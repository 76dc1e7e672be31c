"""All facts of the contract as one JSON document, for programs."""

from dataclasses import asdict
from typing import Any

from deploy.contract_pages.codes_part import REVIEW_REASONS
from deploy.contract_pages.facts import PARTITIONER, Contract, EventFacts
from deploy.contract_pages.letters import letter_headers
from deploy.contract_pages.reader import Reader
from deploy.contract_pages.rights import rights_of
from domain.cancel_refusals import SENTENCES
from domain.failure_codes import MEANINGS
from domain.opening import RETRY_REFUSALS


def document_of(contract: Contract) -> dict[str, Any]:
    """Return the document: events by type, readers by slug, and the tables of codes. Bytes are in hex."""
    return {
        "release": contract.release,
        "topic_prefix": contract.prefix,
        "partitioner": PARTITIONER,
        "partitions": contract.topics.partitions,
        "events": {event_type: _event(event) for event_type, event in contract.events.items()},
        "readers": {reader.slug: _reader(contract, reader) for reader in contract.readers},
        "repetitions": {"resend_s": contract.resend_s, "resends_max": contract.resends_max},
        "failure_codes": {code: asdict(meaning) for code, meaning in MEANINGS.items()},
        "retry_refusals": RETRY_REFUSALS,
        "cancel_refusals": dict(SENTENCES),
        "review_reasons": REVIEW_REASONS,
        "dead_letter_headers": {header.name: header.meaning for header in letter_headers()},
        "amount_max_minor": contract.amount_limits,
    }


def _event(event: EventFacts) -> dict[str, Any]:
    example = event.example
    return {
        "doc": event.doc,
        "topic": event.topic,
        "dead_letter_topic": event.dead_letters,
        "subject": event.subject,
        "published_by": event.publisher,
        "read_by": event.readers,
        "key": event.key,
        "fingerprint": event.fingerprint,
        "released": event.released,
        "kept_ms": event.kept_ms,
        "fields": [asdict(field) for field in event.fields],
        "refusals": {reason: {"meaning": m, "todo": t} for reason, (m, t) in event.refusals.items()},
        "example": {
            "event": example.form,
            "key": example.key,
            "headers": example.headers,
            "partition": example.partition,
            "single_object_hex": example.single_object.hex(),
            "registry_hex": example.registry.hex(),
            "registry_schema_id": example.schema_id,
        },
    }


def _reader(contract: Contract, reader: Reader) -> dict[str, Any]:
    return {
        "name": reader.name,
        "about": reader.about,
        "publishes": reader.publishes,
        "reads": reader.reads,
        "dead_letters": [contract.events[event_type].dead_letters for event_type in reader.dead_letters],
        "rights": [asdict(right) for right in rights_of(reader, contract.prefix)],
        "settings": {contract.numbers[field].name: contract.numbers[field].value for field in reader.settings},
        "advice": reader.advice,
    }
