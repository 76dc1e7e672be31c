"""What a publisher most likely did wrong when its single object names no schema of ours.

The dead letter of such a message goes to a team that does not know why. These mistakes are recognized by the eight
bytes alone.
"""

import hashlib
from functools import cache
from typing import Any, Final

from fastavro.schema import to_parsing_canonical_form

from schemas.fingerprints import FINGERPRINT_BYTES, crc_64_avro
from schemas.releases import releases
from schemas.shapes import SHAPES
from schemas.variants import fingerprints

_OTHERWISE: Final = (
    "Either the publisher has another schema than ours, or its library computes fingerprints in another way: compare "
    "the schema with ours, and the fingerprint with that of `payments schemas list`"
)


def likely_cause(event_type: str, found: bytes) -> str:
    """Return what is probably wrong with an unknown fingerprint on this event's topic, without a full stop.

    found: 8 bytes. Raises KeyError for an event type that has no topic.
    """
    return _mistakes(event_type).get(found, _OTHERWISE)


@cache
def _mistakes(event_type: str) -> dict[bytes, str]:
    """Return the known mistakes by the bytes that they give; for today's schema and the released ones."""
    mistakes: dict[bytes, str] = {}
    older = [released.schema for released in releases() if released.event_type == event_type]
    for schema in (SHAPES[event_type].schema, *older):
        for wrong, words in _wrong(schema).items():
            mistakes.setdefault(wrong, words)
    return mistakes


def _wrong(schema: dict[str, Any]) -> dict[bytes, str]:
    form = to_parsing_canonical_form(schema)
    right = crc_64_avro(form)
    nameless = {name: part for name, part in schema.items() if name != "namespace"}
    return {
        right[::-1]: "Its eight bytes stand in reverse order: write them little-endian",
        **{
            variant[::-1]: f"It is that of {library}, in reverse order: write the eight bytes little-endian"
            for library, variant in fingerprints(schema).items()
        },
        **{
            digest(form.encode()).digest()[:FINGERPRINT_BYTES]: f"It begins the {name} of the schema: take CRC-64-AVRO"
            for name, digest in (("MD5", hashlib.md5), ("SHA-256", hashlib.sha256))
        },
        crc_64_avro(to_parsing_canonical_form(nameless)): "The publisher's schema lacks the namespace: take ours",
    }
