"""Every schema, today's and released ones, with an event written in it; and what must come back from a library."""

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from json import dumps
from typing import Any, Final

from fastavro import schemaless_reader, schemaless_writer

from schemas.codec import Codec
from schemas.framing import SINGLE_OBJECT
from schemas.records import Event
from schemas.releases import releases
from schemas.shapes import SHAPES, load, shape_of
from schemas.variants import fingerprints
from tests.schemas.builders import one_of_each

HEAD_END: Final = 10
TODAY: Final = "today"


@dataclass(frozen=True, slots=True)
class Case:
    """A schema and an event. body: the event, written in the schema, without a head."""

    name: str
    event: Event
    schema: dict[str, Any]
    body: bytes

    @property
    def line(self) -> str:
        """What a program of another language is asked: name, schema, body in hex."""
        return f"{self.name}\t{dumps(self.schema)}\t{self.body.hex()}\n"


def cases() -> list[Case]:
    """Return a case for each schema of today and of each release."""
    codec, events = Codec(), {event.TYPE: event for event in one_of_each()}
    bodies = {event_type: codec.encode(event)[HEAD_END:] for event_type, event in events.items()}
    made = [Case(f"{TODAY}/{t}", event, load(t), bodies[t]) for t, event in events.items()]
    for released in releases():
        out, ours = BytesIO(), SHAPES[released.event_type].wire
        value = schemaless_reader(BytesIO(bodies[released.event_type]), ours, None)
        schemaless_writer(out, shape_of(released.schema).wire, value)
        name = f"{released.release}/{released.event_type}"
        made.append(Case(name, events[released.event_type], released.schema, out.getvalue()))
    return made


def compare(library: str, form: str, answers: Iterable[str]) -> int:
    """Hold a library's single objects to the table and to the codec; return how many there were.

    form: the library's row in schemas.variants.FORMS. answers: lines "library TAB name TAB single object in hex".
    Raises AssertionError when a fingerprint is not the table's, a schema was left out, or the codec does not read it.
    """
    asked, codec, seen = {case.name: case for case in cases()}, Codec(), set()
    for by, name, written in (line.split("\t") for line in answers):
        if by != library:
            continue
        case, single = asked[name], bytes.fromhex(written)
        head = SINGLE_OBJECT + fingerprints(case.schema)[form]
        assert single[:HEAD_END] == head, (
            f"{library} names {name} by {single[2:HEAD_END].hex()}, schemas/variants.py by {head[2:].hex()}"
        )
        event_type = case.event.TYPE
        read = codec.read(event_type, case.event.subject.encode(), single)
        right = SINGLE_OBJECT + shape_of(case.schema).fingerprint + case.body
        assert read == codec.read(event_type, case.event.subject.encode(), right), f"{library}: {name} is another event"
        seen.add(name)
    assert seen == asked.keys(), f"{library} was not asked for {sorted(asked.keys() - seen)}"
    return len(seen)
