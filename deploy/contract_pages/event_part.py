"""The part of a page about one event: its topic, its fields, and an example in every form."""

import json

from deploy.contract_pages.facts import EventFacts
from deploy.contract_pages.html import Child, Html, details, join, tag, text_with_code
from deploy.contract_pages.reader import Reader
from schemas.field_docs import FieldDoc
from schemas.framing import CONFLUENT, SINGLE_OBJECT
from schemas.releases import COMING

DAY_MS = 86_400_000


def event_part(event: EventFacts, reader: Reader) -> Html:
    """Return all that this reader's page says about this event."""
    name = event.event_type
    return tag(
        "article",
        tag("h3", tag("a", name, href=f"#{name}")),
        tag("p", event.doc),
        tag("dl", *_facts(event, reader), class_="facts"),
        details("Fields", tag("dl", *(join(*_field(field)) for field in event.fields), class_="fields")),
        details("Example", *_example(event)),
        id=name,
    )


def kept(event: EventFacts) -> str:
    """Say how long the topic keeps its messages."""
    return "for ever" if event.kept_ms < 0 else f"{event.kept_ms // DAY_MS} days at the least"


def _facts(event: EventFacts, reader: Reader) -> list[Html]:
    rows: list[tuple[str, Child]] = [
        ("Topic", tag("code", event.topic)),
        ("Key", join(tag("code", event.key), ", in UTF-8")),
        ("Fingerprint", join(tag("code", event.fingerprint), " (CRC-64-AVRO)")),
        ("Schema", join(tag("a", f"{event.event_type}.avsc", href=f"schemas/{event.event_type}.avsc"), _since(event))),
        ("Registry", join("subject ", tag("code", event.subject))),
        ("Published by", event.publisher),
        ("Kept", kept(event)),
    ]
    if event.event_type in reader.dead_letters:
        rows.append(("Dead letters", tag("code", event.dead_letters)))
    return [join(tag("dt", head), tag("dd", value)) for head, value in rows]


def _since(event: EventFacts) -> str:
    return f", new in {COMING}" if event.released is None else f", since release {event.released}"


def _field(field: FieldDoc) -> list[Html]:
    notes = [field.kind]
    if field.nullable:
        notes.append("or null")
    if field.default is not None:
        notes.append(f"default {field.default}")
    symbols = None
    if field.symbols:
        words = ", ".join(f"`{each}`" for each in field.symbols if each != field.default_symbol)
        other = "" if field.default_symbol is None else f"; `{field.default_symbol}` for what this schema does not know"
        symbols = tag("dd", text_with_code(f"{words}{other}."))
    return [
        tag("dt", tag("code", field.path), " ", tag("span", ", ".join(notes), class_="soft")),
        tag("dd", field.doc),
        *([symbols] if symbols else []),
    ]


def _example(event: EventFacts) -> list[Html]:
    example = event.example
    headers = "\n".join(f"{name}: {value}" for name, value in example.headers.items())
    folder = f"examples/{event.event_type}"
    head = (
        f"{CONFLUENT.hex()} and the schema id, 4 bytes big-endian: {example.schema_id} here; your registry has its own"
    )
    return [
        tag("h4", "As JSON"),
        _code(json.dumps(example.form, indent=2, ensure_ascii=False)),
        tag("h4", "Key and headers"),
        _code(f"key: {example.key}\n{headers}"),
        tag("h4", "Body as a single object"),
        tag("p", f"{SINGLE_OBJECT.hex()}, the fingerprint, and the Avro body. ", _file(f"{folder}.single-object.bin")),
        _code(example.single_object.hex()),
        tag("h4", "Body in a registry's framing"),
        tag("p", f"{head}. ", _file(f"{folder}.registry.bin")),
        _code(example.registry.hex()),
    ]


def _file(path: str) -> Html:
    return tag("a", path.rpartition("/")[2], href=path)


def _code(text: str) -> Html:
    return tag("pre", tag("code", text))
