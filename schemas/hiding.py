"""Hides payment tokens in bodies that others may read: with a token, and sometimes without more, money can be taken.

In a body that can be read, the token and the gateway's id of the customer become HIDDEN: it is still an event of its
schema, and publishing it again is refused. In any other body a token may stand anywhere: every word that is as long as
a token becomes asterisks, and the length stays. Of a compressed body nothing is shown. Bodies of events that never have
a token stay as they are.
"""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from schemas.bodies import read_body
from schemas.fields import HIDDEN
from schemas.framing import SINGLE_OBJECT
from schemas.models import EVENTS
from schemas.versions import EVENT_OF, Writer

METHOD: Final = "payment_method"
SECRETS: Final = ("token", "gateway_customer_id")
"""The fields of a payment method that are hidden."""
WITH_TOKEN: Final = frozenset(event_type for event_type, model in EVENTS.items() if METHOD in model.model_fields)
SECRET_BYTES_MIN: Final = 8
"""No gateway has shorter tokens: they could be guessed. A shorter text in a field is hidden there, and only there."""
_WORD: Final = re.compile(rb"(?:[A-Za-z0-9_+/=.~%%\\-]\0?){%d,}[A-Za-z0-9_+/=.~%%\\-]" % (SECRET_BYTES_MIN - 1))
"""What a token is made of, also as base64, as escapes of JSON or of an address, or in two bytes a character."""
_COMPRESSED: Final = (
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"\x04\x22\x4d\x18",
    b"\xff\x06\x00\x00",
    b"BZh",
    b"\xfd7zXZ",
    b"PK",
)
"""How gzip, zstd, LZ4, Snappy, bzip2, xz and zip begin."""
_ZLIB: Final = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_FINGERPRINT_END: Final = 10

Open = Callable[[str, bytes], tuple[Writer, bytes]]


class Hidden(NamedTuple):
    """body: what others may read; None: nothing. secrets: what was hidden, as it may also stand in headers."""

    body: bytes | None
    secrets: tuple[bytes, ...] = ()


def hide(open_: Open, event_type: str, value: bytes) -> Hidden:
    """Hide the secrets of a body from this event's topic; of an unknown one it may be any. open_: FrameReader.open."""
    event_type = _written_as(value) or event_type
    if event_type in EVENTS and event_type not in WITH_TOKEN:
        return Hidden(value)
    try:
        writer, body = open_(event_type, value)
        wire = read_body(writer, body)
        method: Any = wire.get(METHOD)
        found = {name: method[name] for name in SECRETS if method.get(name)} if isinstance(method, dict) else {}
        if not found:
            return Hidden(value)
        wire[METHOD] = {**method, **dict.fromkeys(found, HIDDEN)}
        hidden = value[: len(value) - len(body)] + writer.write(wire)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, a token may stand in it
        return Hidden(_without_words(value))
    secrets = tuple(_bytes(text) for text in found.values() if text != HIDDEN)
    elsewhere = any(len(secret) >= SECRET_BYTES_MIN and secret in hidden for secret in secrets)
    return Hidden(_without_words(hidden) if elsewhere else hidden, secrets)


def hide_in(text: bytes, secrets: tuple[bytes, ...]) -> bytes:
    """Replace these secrets in another part of the message, a header perhaps."""
    for secret in secrets:
        if len(secret) >= SECRET_BYTES_MIN:
            text = text.replace(secret, HIDDEN.encode())
    return text


def _written_as(value: bytes) -> str | None:
    """Return the event whose schema the body names, be it of another topic than it came from."""
    if value[:2] != SINGLE_OBJECT:
        return None
    return EVENT_OF.get(value[2:_FINGERPRINT_END])


def _without_words(value: bytes) -> bytes | None:
    if value.startswith(_COMPRESSED) or _ZLIB.match(value):
        return None
    return _WORD.sub(lambda word: b"*" * len(word[0]), value)


def _bytes(text: Any) -> bytes:
    return str(text).encode("utf-8", "surrogatepass")
