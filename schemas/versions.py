"""The schema that a body was written with: ours, a released one (by any name), or another version in the registry."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from fastavro import schemaless_writer

from schemas.compatibility import unreadable
from schemas.rejection import Reason, Rejected
from schemas.releases import releases
from schemas.shapes import SHAPES, Shape, UnsafeSchema, shape_of
from schemas.variants import fingerprints
from schemas.writing import Write, wire_writer


@dataclass(frozen=True, slots=True)
class Writer:
    """wire: the schema of the body. resolve: it is another version than ours. write: writes what was read again."""

    wire: dict[str, Any]
    resolve: bool
    write: Write


OURS: Final = {
    event_type: Writer(shape.wire, resolve=False, write=wire_writer(shape.schema))
    for event_type, shape in SHAPES.items()
}


def make_writer(name: str, schema: dict[str, Any], ours: Shape) -> Writer | Rejected:
    """Parse a registered schema. Return a Rejected if it is unsafe or this release cannot read it."""
    try:
        shape = shape_of(schema)
        problems = unreadable(ours.schema, schema, checked=True)
    except UnsafeSchema as error:
        return reject_schema(f"{name} is refused: {error}")
    except Exception:  # noqa: BLE001 - fastavro has no common error for what is no Avro schema
        return reject_schema(f"{name} is not an Avro record")
    if problems:
        return reject_schema(f"{name} cannot be read by this release: {problems[0]}")

    def write(value: Any) -> bytes:
        out = BytesIO()
        schemaless_writer(out, shape.wire, value)
        return out.getvalue()

    return Writer(shape.wire, resolve=shape.fingerprint != ours.fingerprint, write=write)


def reject_schema(what: str) -> Rejected:
    """Return the refusal of a schema that this release cannot read."""
    return Rejected(
        Reason.UNKNOWN_SCHEMA, f"{what}. Publish with a released schema, or run a release that knows this one."
    )


def _of_releases() -> dict[tuple[str, bytes], Writer]:
    """Return a writer for each released schema that is not today's, and for each variant of a released or today's."""
    right: dict[tuple[str, bytes], Writer] = {}
    variants: dict[tuple[str, bytes], Writer] = {}
    for event_type, shape in SHAPES.items():
        variants |= {(event_type, variant): OURS[event_type] for variant in fingerprints(shape.schema).values()}
    for released in releases():
        ours = SHAPES.get(released.event_type)
        if ours is None:
            continue
        writer = make_writer(f"The schema of release {released.release}", released.schema, ours)
        if isinstance(writer, Rejected):
            continue
        if writer.resolve:
            right[released.event_type, shape_of(released.schema).fingerprint] = writer
        for variant in fingerprints(released.schema).values():
            variants.setdefault((released.event_type, variant), writer)
    return variants | right


RELEASED: Final = _of_releases()
"""By event type and fingerprint: what may stand in a message besides today's fingerprint. Schemas of releases that are
not today's, since topics and tables have messages of them; and the variants of these and of today's (schemas.variants).
"""

EVENT_OF: Final = {shape.fingerprint: event_type for event_type, shape in SHAPES.items()} | {
    fingerprint: event_type for event_type, fingerprint in RELEASED
}
"""Which event a fingerprint names, whatever the topic."""
