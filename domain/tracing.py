"""W3C's trace context: read from a message's headers, kept with events and operations, and written as headers again.

It knows no library of tracing, and no header is ever a reason to refuse a message: what cannot be read counts as none.
Source: W3C Trace Context, level 2.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, NewType

from schemas.cards import contains_card_number

Trace = NewType("Trace", str)
"""A context as it is kept: the traceparent, and behind a blank the tracestate, if there is one."""

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
SAMPLED: Final = 1
STATE_MAX: Final = 512
"""Characters of a tracestate, and the most that a context is kept with. The standard asks for at least so many."""
_PARENT_MAX: Final = 256
"""A later version of the standard may add fields; nobody needs to read more of them than this."""
_MEMBERS_MAX: Final = 32
_FLAGS: Final = 3
"""Sampled, and random. Other bits have no meaning yet, and must be zero in what is sent."""
_FLAG_AT: Final = 54
"""The last digit of a traceparent: its lowest bit says sampled."""
_ODD: Final = "13579bdf"
_PARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MEMBER: Final = re.compile(
    r"[ \t]*([a-z0-9][a-z0-9_\-*/@]{0,255})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e][ \t]*"
)

Headers = Iterable[tuple[str, bytes | None]]


class Incoming(NamedTuple):
    """A context: 128 and 64 bits that are not zero, flags of 2 bits, and the tracestate, empty for none."""

    trace_id: int
    span_id: int
    flags: int
    state: str

    @property
    def sampled(self) -> bool:
        """Whether its spans are recorded."""
        return bool(self.flags & SAMPLED)


def read_headers(headers: Headers) -> Incoming | None:
    """Return the context of a message. None: it has none, more than one, or one that is malformed."""
    parents: list[bytes | None] = []
    states: list[bytes | None] = []
    for name, value in headers:
        if name == TRACEPARENT:
            parents.append(value)
        elif name == TRACESTATE:
            states.append(value)
    if len(parents) != 1:
        return None
    read = _read_parent(parents[0] or b"")
    if read is None:
        return None
    return Incoming(*read, _read_state(states[0] or b"") if len(states) == 1 else "")


def _read_parent(value: bytes) -> tuple[int, int, int] | None:
    found = _PARENT.fullmatch(value) if len(value) <= _PARENT_MAX else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    numbers = int(trace_id, 16), int(span_id, 16), int(flags, 16) & _FLAGS
    return numbers if numbers[0] and numbers[1] else None


def _read_state(value: bytes) -> str:
    """Return a tracestate that may be passed on; empty if it is malformed, too long, or may hold a card number."""
    if not value or len(value) > STATE_MAX or not value.isascii() or contains_card_number(value):
        return ""
    text = value.decode("ascii")
    members = text.split(",")
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = [member.group(1) for member in found if member is not None]
    if len(members) > _MEMBERS_MAX or len(set(keys)) != len(members):
        return ""
    return text.strip(" \t")


def write_trace(trace_id: int, span_id: int, flags: int, state: str = "") -> Trace:
    """Return a context as it is kept."""
    parent = f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}"
    return Trace(f"{parent} {state}" if state else parent)


def read_trace(trace: str) -> Incoming | None:
    """Return a context that was kept."""
    return read_headers(headers_of_trace(trace))


def is_sampled(trace: Trace | None) -> bool:
    """Whether spans of a context that was kept are recorded."""
    return trace is not None and trace[_FLAG_AT] in _ODD


def headers_of_trace(trace: str) -> Sequence[tuple[str, bytes]]:
    """Return the headers of a context that was kept."""
    parent, _, state = trace.partition(" ")
    headers = [(TRACEPARENT, parent.encode())]
    if state:
        headers.append((TRACESTATE, state.encode()))
    return headers


def passed_on(headers: Headers) -> Trace | None:
    """Return the context of a message as it is kept: for those who carry it on without a span of their own."""
    found = read_headers(headers)
    return None if found is None else write_trace(*found)
