"""Reads the body of a message with its writer's schema: strictly, or as our version of it."""

from io import BytesIO
from typing import Any

from fastavro import schemaless_reader

from schemas.blocks import Malformed, with_single_blocks
from schemas.rejection import Reason, Rejected
from schemas.versions import Writer


def read_body(writer: Writer, body: bytes) -> dict[str, Any]:
    """Decode a body. Refuse it if it is not the canonical encoding; arrays and maps may be split into blocks."""
    try:
        value = schemaless_reader(BytesIO(body), writer.wire, None)
        canonical = writer.write(value)
    except Exception as error:  # noqa: BLE001 - fastavro has no common error class; any error means that it is no such record
        raise Rejected(
            Reason.UNDECODABLE,
            f"The body is not a record of its schema ({type(error).__name__}). Encode it with an Avro library.",
        ) from None
    if not isinstance(value, dict):
        raise TypeError("A schema that is no record was let through.")
    if canonical != body and not _same_but_for_blocks(writer.wire, body, canonical):
        raise Rejected(
            Reason.NOT_CANONICAL,
            "The body is not the canonical encoding of its values (bytes are left over, or a number or an index is "
            "written in another way). Encode it with an Avro library.",
        )
    return value


def _same_but_for_blocks(wire: dict[str, Any], body: bytes, canonical: bytes) -> bool:
    try:
        return with_single_blocks(wire, body) == canonical
    except Malformed:
        return False


def resolve_body(writer: dict[str, Any], reader: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Read a body that was written with another version, as our version."""
    try:
        value = schemaless_reader(BytesIO(body), writer, reader)
    except Exception as error:  # noqa: BLE001 - as above
        raise Rejected(
            Reason.UNDECODABLE,
            f"The body cannot be read with this release's schema ({type(error).__name__}). Run a newer release.",
        ) from None
    if not isinstance(value, dict):
        raise TypeError("A schema that is no record was let through.")
    return value
