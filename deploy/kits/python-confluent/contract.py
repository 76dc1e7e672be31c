"""Reads and writes the events of `payments`: Avro in single-object encoding."""

import io
import json
from pathlib import Path
from typing import Any, Final

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form
from fastavro.validation import validate

MARK: Final = b"\xc3\x01"
HEAD_BYTES: Final = 10


class NotReadable(Exception):  # noqa: N818 - the text says what to do
    """A body that no schema of ours reads. Stop, and ask for the schemas of the release that wrote it."""


class Contract:
    """The schemas of `payments` in a folder: `avro/` has today's, `released/` those of older releases."""

    def __init__(self, folder: Path) -> None:
        self._today = {path.stem: _parsed(path) for path in sorted((folder / "avro").glob("*.avsc"))}
        if not self._today:
            raise FileNotFoundError(f"no schemas in {folder / 'avro'}: copy schemas/avro and schemas/released there")
        self._heads = {name: _head(schema) for name, schema in self._today.items()}
        # An event may have been written by an older release, or by a newer one whose schemas were copied here first.
        self._writers = {_head(schema): schema for schema in map(_parsed, sorted(folder.rglob("*.avsc")))}

    def encode(self, name: str, event: dict[str, Any]) -> bytes:
        """Return the body of an event. Times are aware datetimes.

        Raises ValueError or TypeError when a field is missing, unknown or of another type.
        """
        body = io.BytesIO()
        body.write(self._heads[name])
        fastavro.schemaless_writer(body, self._today[name], event, strict_allow_default=True)
        # The writer takes 14.5 for a long and writes 14, and true for 1.
        if not validate(event, self._today[name], raise_errors=False):
            raise TypeError(f"{name}: a field is of another type; amounts and quantities are whole numbers")
        return body.getvalue()

    def decode(self, name: str, body: bytes) -> dict[str, Any]:
        """Return the event in a body, in today's form. Times are aware datetimes, ids are UUIDs. Raises NotReadable."""
        writer = self._writers.get(body[:HEAD_BYTES])
        if writer is None or writer["name"] != self._today[name]["name"]:
            raise NotReadable(f"{name}: no schema here has the fingerprint {body[2:HEAD_BYTES].hex()}")
        rest = io.BytesIO(body[HEAD_BYTES:])
        event = fastavro.schemaless_reader(rest, writer, self._today[name])
        if rest.read(1) or not isinstance(event, dict):
            raise NotReadable(f"{name}: bytes are left over after the event")
        return event


def _parsed(path: Path) -> dict[str, Any]:
    schema: Any = fastavro.parse_schema(json.loads(path.read_text(encoding="utf-8")))
    return dict(schema)


def _head(schema: dict[str, Any]) -> bytes:
    """Return the ten bytes before each body: the mark, and the CRC-64-AVRO of the canonical form, little-endian."""
    # fastavro gives these eight bytes in the order of the wire: they must not be turned around.
    return MARK + bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
