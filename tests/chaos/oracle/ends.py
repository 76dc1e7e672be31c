"""No process ends by itself: what cannot start, for a server is away, may say so and be started again."""

from collections.abc import Iterator
from typing import Final

from tests.chaos.clock import told
from tests.chaos.fleet import NOT_REACHED, SANDBOX, End, How
from tests.chaos.oracle.case import Index, Violation

SERVERS: Final = ("power cut", "kafka", "postgres", "sessions", "read only", "time limit", "dump")
STARTING_S: Final = 60.0
"""A start takes so long at the most; an outage that began before may end it."""


def check_ends(index: Index) -> Iterator[Violation]:
    """Look at every end of a process."""
    for end in index.case.ends:
        what = _sandbox(end) if end.name == SANDBOX else _ended(index, end)
        if what:
            yield Violation("ended", f"{end.name} at {told(end.at)}", what, str(end.log))
    for name, bug in index.case.bugs:
        yield Violation("bug", name, bug)
    for command, words in index.case.refused:
        yield Violation("operator", command, words)
    for dealt in index.case.dealt:
        if dealt.error:
            yield Violation("harness", dealt.title, f"it could not be dealt: {dealt.error}")


def _sandbox(end: End) -> str:
    return f"it ended by itself with {end.code}" if end.how is How.BY_ITSELF else ""


def _ended(index: Index, end: End) -> str:
    """Say what is wrong with an end, if anything."""
    match end.how:
        case How.KILLED:
            return ""
        case How.DRAINED:
            return f"told to end, it ended with {end.code}" if end.ran and end.code else ""
        case How.DID_NOT_DRAIN:
            return "it did not end after SIGTERM"
        case How.BY_ITSELF:
            excused = not end.ran and end.code == NOT_REACHED and _outage(index, end.at)
            return "" if excused else f"it ended by itself with {end.code}" + ("" if end.ran else " before it ran")


def _outage(index: Index, at: float) -> bool:
    return any(
        dealt.fault.kind.startswith(SERVERS) and dealt.begun_at <= at and dealt.ended_at >= at - STARTING_S
        for dealt in index.case.dealt
    )
