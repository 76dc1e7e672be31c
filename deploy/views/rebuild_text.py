"""A rebuild as text for people and as JSON: what differs, what is apart and why, both hashes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final, Self

import orjson

from outbox.audit import Invariant, Report
from outbox.audit.rebuild import Apart, Kind, Rebuilt, Verdict
from outbox.audit.rebuild.judge import EXPLAINED
from outbox.audit.report import NAMES, VIOLATIONS_KEPT_MAX

NUMBER: Final = 12
EXAMPLES: Final = 3
"""Orders named for each reason to be apart."""
NOTHING: Final[Mapping[str, Any]] = {}
IN_MEMORY: Final = 4_000_000
"""Bytes of the lists of orders that are kept in memory; more go to a temporary file."""


class Listing:
    """Every order that is not equal, for the document; the first ones, for people. Its memory does not grow.

    A context manager: in the end its temporary files are closed.
    """

    def __init__(self) -> None:
        self.differing: list[Verdict] = []
        self.apart: dict[Apart, list[Verdict]] = {}
        self._lists: dict[Kind, IO[bytes]] = {
            kind: SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - open as long as the listing
            for kind in (Kind.DIFFERS, Kind.APART)
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for kept in self._lists.values():
            kept.close()

    def take(self, verdict: Verdict) -> None:
        """Keep an order."""
        first = self.differing
        kept_max = VIOLATIONS_KEPT_MAX
        if verdict.reason is not None:
            first, kept_max = self.apart.setdefault(verdict.reason, []), EXAMPLES
        if len(first) < kept_max:
            first.append(verdict)
        kept = self._lists[verdict.kind]
        kept.write((b",\n" if kept.tell() else b"") + orjson.dumps(verdict.as_json()))

    def document(
        self, rebuilt: Rebuilt, report: Report, seconds: float, before: Mapping[str, Any] = NOTHING
    ) -> Iterator[str]:
        """Yield the JSON document in parts: that of an audit, and what else a rebuild has to say.

        before: members that come before `rebuild`.
        """
        head = orjson.dumps(report.as_json() | {**before, "rebuild": _summary(rebuilt, seconds)}).decode()
        yield head.removesuffix("}}")
        for name, kind in (("differing", Kind.DIFFERS), ("apart", Kind.APART)):
            yield f',"{name}":[\n'
            kept = self._lists[kind]
            kept.seek(0)
            for line in kept:
                yield line.decode()
            yield "]"
        yield "}}\n"


def report_of(rebuilt: Rebuilt, listing: Listing, waiting: Sequence[str]) -> Report:
    """Return the rebuild as an audit of invariant 12. waiting: what was under way."""
    violations = tuple(
        f"order {verdict.order_id}: {'; '.join(map(str, verdict.fields))}" for verdict in listing.differing
    )
    compared = rebuilt.equal + rebuilt.differing
    # If every order is apart, nothing was proven.
    holds = rebuilt.holds if compared or not rebuilt.apart else None
    invariant = Invariant(
        NUMBER, NAMES[NUMBER], holds, compared, violations, tuple(_notes(rebuilt, listing)), rebuilt.differing
    )
    return Report(holds is not False, not waiting, (invariant,), tuple(waiting))


def summary_lines(rebuilt: Rebuilt, seconds: float) -> Iterator[str]:
    """Say how many orders are what, and both hashes."""
    apart = rebuilt.apart.total()
    yield (
        f"{rebuilt.equal:,} orders equal, {rebuilt.differing:,} differ, {apart:,} apart; "
        f"{rebuilt.messages:,} messages in {seconds:.1f} s"
    )
    yield f"SHA-256 of the database  {rebuilt.hash_live}"
    yield f"SHA-256 of the topics    {rebuilt.hash_topics}"


def _notes(rebuilt: Rebuilt, listing: Listing) -> Iterable[str]:
    for reason, count in sorted(rebuilt.apart.items()):
        named = ", ".join(_named(verdict) for verdict in listing.apart[reason])
        more = f" and {count - EXAMPLES} more" if count > EXAMPLES else ""
        yield f"apart, {count:,}: {EXPLAINED[reason]} ({named}{more})"
    if rebuilt.two_bodies:
        yield f"{rebuilt.two_bodies:,} event ids have two different messages"
    if rebuilt.shortened:
        yield f"first messages were deleted from {', '.join(rebuilt.shortened)}"
    for stretch in rebuilt.unreadable:
        yield f"{stretch.topic}-{stretch.partition} offsets {stretch.first} to {stretch.last}: {stretch.cause}"
    yield from (f"left out: {line}" for line in rebuilt.left_out)
    if rebuilt.left_out_count > len(rebuilt.left_out):
        yield f"left out: {rebuilt.left_out_count - len(rebuilt.left_out):,} more messages"


def _named(verdict: Verdict) -> str:
    return f"{verdict.order_id}: {verdict.detail}" if verdict.detail else verdict.order_id


def _summary(rebuilt: Rebuilt, seconds: float) -> dict[str, Any]:
    return {
        "equal": rebuilt.equal,
        "differ": rebuilt.differing,
        "reasons": {str(reason): rebuilt.apart[reason] for reason in Apart if rebuilt.apart[reason]},
        "sha256": {"database": rebuilt.hash_live, "topics": rebuilt.hash_topics},
        "messages": rebuilt.messages,
        "copies": rebuilt.copies,
        "two_bodies": rebuilt.two_bodies,
        "left_out": {"count": rebuilt.left_out_count, "first": rebuilt.left_out},
        "unreadable": [stretch._asdict() for stretch in rebuilt.unreadable],
        "shortened": list(rebuilt.shortened),
        "seconds": round(seconds, 3),
    }
