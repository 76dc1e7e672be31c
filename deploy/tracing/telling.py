"""What a span says, and who takes it."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NewType, Protocol

from domain.tracing import SAMPLED, Incoming, Trace, is_sampled, read_trace

LINKS_MAX: Final = 128
"""Of one span. A batch of 2,000 messages links to the first of them; how many there were is an attribute."""
Nanoseconds = NewType("Nanoseconds", int)
"""Since 1970."""


class Kind(Enum):
    """OpenTelemetry's kinds of spans that we tell."""

    INTERNAL = auto()
    CLIENT = auto()
    CONSUMER = auto()


@dataclass(frozen=True, slots=True)
class Told:
    """A span that is over. context: its own. parent: None for the first of a trace. error: a word; None: it went well.

    began_ns, ended_ns: nanoseconds since 1970.
    """

    name: str
    kind: Kind
    context: Incoming
    parent: Incoming | None
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, str | int]
    links: Sequence[Incoming] = field(default=())
    error: str | None = None


class Recorder(Protocol):
    """Takes spans. It neither waits nor raises; it forgets what it has no room for."""

    def record(self, told: Told) -> None:
        """Take a span."""
        ...


class Ids:
    """Draws ids of spans and of traces that have no order. They are no secrets."""

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311 - ids, not secrets; it seeds itself from the system

    def span_id(self) -> int:
        """Return 64 bits that are not zero."""
        return self._random.getrandbits(64) or 1

    def child_of(self, parent: Incoming) -> Incoming:
        """Return a new context in the trace of this one."""
        return parent._replace(span_id=self.span_id())

    def root(self) -> Incoming:
        """Return the context of a new trace."""
        return Incoming(self._random.getrandbits(128) or 1, self.span_id(), SAMPLED, "")


def links_to(traces: Iterable[Trace | None]) -> list[Incoming]:
    """Return links to those of these contexts that are recorded: each once, and not more than LINKS_MAX."""
    links: list[Incoming] = []
    for trace in dict.fromkeys(trace for trace in traces if is_sampled(trace)):
        found = None if trace is None else read_trace(trace)
        if found is not None:
            links.append(found)
        if len(links) == LINKS_MAX:
            break
    return links
