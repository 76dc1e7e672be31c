"""All that the contract says, gathered from where the code has it: one value, of which pages and documents are made."""

from dataclasses import dataclass
from typing import Any, Final

from deploy.contract_pages.examples import examples, framed, headers_of_example, json_form, schema_id_of
from deploy.contract_pages.numbers import Number, numbers_of
from deploy.contract_pages.reader import Reader
from deploy.contract_pages.readers import BY_PUBLISHER, READERS
from deploy.contract_pages.refusals import refusals_on
from deploy.settings import Settings
from deploy.topics import owners_of, wanted_of
from domain.rules import Rules
from producers.partitioning import hash_of
from producers.topic_settings import KEPT_AT_LEAST_MS, Owner, Wanted
from schemas.events import Event, OrderEvent
from schemas.field_docs import FieldDoc, event_doc, field_docs
from schemas.models import EVENTS
from schemas.rejection import Reason
from schemas.releases import COMING, release_of
from schemas.shapes import SHAPES
from schemas.topics import TOPICS, dead_letter_topic, subject_name, topic_name

PARTITIONER: Final = "murmur2"


@dataclass(frozen=True, slots=True)
class Example:
    """One event in every form. form: as JSON. partition: of its key, in a topic with as many partitions as are set.

    single_object, registry: the message's body in both framings; schema_id: the one in the latter.
    """

    form: dict[str, Any]
    headers: dict[str, str]
    key: str
    partition: int
    single_object: bytes
    registry: bytes
    schema_id: int


@dataclass(frozen=True, slots=True)
class EventFacts:
    """One event and its topic. key: the field that is the message key. released: the first release with this schema.

    publisher: a reader's slug, or `payments`. readers: slugs. dead_letters: the topic of its dead letters, if it is
    read here. kept_ms: how long its topic keeps it at the least; -1 for ever. refusals: reason to what it means and
    what to do, for the publisher of a topic of others.
    """

    event_type: str
    doc: str
    topic: str
    subject: str
    publisher: str
    readers: tuple[str, ...]
    dead_letters: str | None
    key: str
    fingerprint: str
    released: str | None
    kept_ms: int
    fields: tuple[FieldDoc, ...]
    refusals: dict[Reason, tuple[str, str]]
    schema: dict[str, Any]
    example: Example


@dataclass(frozen=True, slots=True)
class Contract:
    """The contract of one deployment. release: the version of this code. registry: whether it has one.

    numbers: settings by field, as people read them.

    resend_s, resends_max: so far apart and so often events of an order that stands still are sent again.
    """

    release: str
    prefix: str
    registry: bool
    bootstrap: tuple[str, ...]
    secure: bool
    topics: Wanted
    events: dict[str, EventFacts]
    readers: tuple[Reader, ...]
    numbers: dict[str, Number]
    resend_s: float
    resends_max: int
    amount_limits: dict[str, int]


def contract_of(settings: Settings) -> Contract:
    """Gather the contract of the deployment with these settings. Nothing is connected to."""
    rules = rules_in_force(settings)
    wanted = wanted_of(settings)
    found = examples(rules=rules)
    return Contract(
        release=COMING,
        prefix=settings.topic_prefix,
        registry=settings.schema_registry_url is not None,
        bootstrap=tuple(filter(None, (settings.kafka_bootstrap_servers or "").split(","))),
        secure=settings.kafka_security_protocol != "PLAINTEXT",
        topics=wanted,
        events={event_type: _facts(settings.topic_prefix, wanted, event) for event_type, event in found.items()},
        readers=READERS,
        numbers=numbers_of(settings),
        resend_s=rules.stuck_after_s,
        resends_max=rules.resends_max,
        amount_limits=dict(settings.amount_limits()),
    )


def rules_in_force(settings: Settings) -> Rules:
    """Return the durations of the rules under these settings, as deploy.wiring fills them by name.

    It is not imported for that: with all that it wires, this command would take twice as long.
    """
    named = {name: getattr(settings, name) for name in Rules.__struct_fields__ if name in Settings.model_fields}
    return Rules(**{**named, "four_eyes_minor": settings.four_eyes()})


def _facts(prefix: str, wanted: Wanted, event: Event) -> EventFacts:
    event_type = event.TYPE
    topic = TOPICS[event_type]
    single_object, registry = framed(event)
    key = event.subject
    return EventFacts(
        event_type=event_type,
        doc=event_doc(event_type),
        topic=topic_name(prefix, event_type),
        subject=subject_name(prefix, event_type),
        publisher="payments" if topic.ours else BY_PUBLISHER[topic.publisher].slug,
        readers=tuple(reader.slug for reader in READERS if event_type in reader.reads),
        dead_letters=dead_letter_topic(prefix, event_type) if topic.consumed else None,
        key="order_id" if issubclass(EVENTS[event_type], OrderEvent) else "sku",
        fingerprint=SHAPES[event_type].fingerprint.hex(),
        released=release_of(event_type),
        kept_ms=_kept_ms(owners_of(prefix)[topic_name(prefix, event_type)], wanted),
        fields=field_docs(event_type),
        refusals={reason: (refusal.meaning, refusal.todo) for reason, refusal in refusals_on(event_type).items()},
        schema=SHAPES[event_type].schema,
        example=Example(
            form=json_form(event),
            headers=dict(headers_of_example(event)),
            key=key,
            partition=hash_of(key.encode()) % wanted.partitions,
            single_object=single_object,
            registry=registry,
            schema_id=schema_id_of(event_type),
        ),
    )


def _kept_ms(owner: Owner, wanted: Wanted) -> int:
    """Return how long a topic keeps its messages. Those of others must keep them for some days at the least."""
    return KEPT_AT_LEAST_MS if owner is Owner.UPSTREAM else int(wanted.configs()["retention.ms"])
