"""Who records traces. The runtime calls it; it knows no library of tracing."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from domain.ports.source import Message
from domain.tracing import Trace, passed_on
from schemas.events import Event


class Hop(NamedTuple):
    """What a message has to do with a trace.

    trace: what its events and operations carry on; None: nothing. recorded: a span of this context is to be told, a
    child of the message's own context.
    """

    trace: Trace | None
    recorded: bool


class Step(NamedTuple):
    """What became of a message that has a recorded hop.

    receipt: what the inbox said about it; None: it was not asked. refused: why it is a dead letter; None: it is none.
    """

    message: Message
    event: Event
    trace: Trace
    receipt: str | None
    refused: str | None


class PassesOn:
    """A tracer that records nothing: what a message causes carries on the message's own context."""

    def hop(self, message: Message, event: Event) -> Hop | None:  # noqa: ARG002 - as the protocol has it
        """Pass on the context that came."""
        trace = passed_on(message.headers)
        return None if trace is None else Hop(trace, recorded=False)

    def clock_ns(self) -> int:
        """Return no time: nothing is recorded."""
        return 0

    def processed(self, group: str, began_ns: int, steps: Sequence[Step]) -> None:
        """Forget it."""


class Tracer(Protocol):
    """Hears of messages. Its methods neither wait nor raise."""

    def hop(self, message: Message, event: Event) -> Hop | None:
        """Decide whether a message is traced, and as what. None: nothing is passed on or told."""
        ...

    def clock_ns(self) -> int:
        """Return the time, in nanoseconds since 1970."""
        ...

    def processed(self, group: str, began_ns: int, steps: Sequence[Step]) -> None:
        """Hear what became of messages, now that it is committed. began_ns: when their transaction began."""
        ...
