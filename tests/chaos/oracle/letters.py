"""Every message that nobody can act on is a dead letter with its reason, and nothing else is one."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from tests.chaos.evidence import Letter
from tests.chaos.messages import What
from tests.chaos.oracle.case import Index, Violation

QUARANTINED: Final = "quarantined"
DONE: Final = "done"
"""How the result of a redrive that had its effect begins."""
Spot = tuple[str, int, int]


def check_letters(index: Index) -> Iterator[Violation]:
    """Compare what should be refused with the table and with the topics of dead letters."""
    wrong: dict[Spot, frozenset[str]] = {}
    messages: list[tuple[str, list[Spot]]] = []
    for sent in index.case.published.sent(What.WRONG):
        spots = [(*said.place, said.offset) for said in index.copies(sent)]
        wrong |= dict.fromkeys(spots, sent.message.reasons)
        messages.append((f"{sent.message.title} ({sent.topic}[{sent.partition}]@{sent.offset})", spots))
    for name, letters in (("the table", index.case.found.kept), ("the topics", index.case.found.letters)):
        yield from _check(index, name, letters, wrong, messages)


def _check(
    index: Index,
    name: str,
    letters: list[Letter],
    wrong: dict[Spot, frozenset[str]],
    messages: list[tuple[str, list[Spot]]],
) -> Iterator[Violation]:
    raised = {(*fact.place, fact.offset) for order_id in index.case.raised for fact in index.facts[order_id]}
    found: dict[Spot, set[str]] = defaultdict(set)
    for letter in letters:
        found[*letter.place, letter.offset].add(letter.reason)
    for title, spots in messages:
        if not any(spot in found for spot in spots):
            yield Violation("no dead letter", title, f"{name} has none of it")
    for spot, reasons in found.items():
        subject = f"{spot[0]}[{spot[1]}]@{spot[2]}"
        if _in_stretch(index, spot):
            if reasons != {"unreadable"}:
                yield Violation("reason", subject, f"{name}: {sorted(reasons)}, not unreadable")
        elif spot not in wrong and not (reasons == {QUARANTINED} and spot in raised):
            yield Violation(
                "dead letter", subject, f"{name}: {sorted(reasons)}, but it was valid", _order_at(index, spot)
            )
        elif not reasons <= wrong.get(spot, reasons):
            yield Violation("reason", subject, f"{name}: {sorted(reasons)}, not {sorted(wrong[spot])}")
    yield from _check_stretches(index, name, found)


def _check_stretches(index: Index, name: str, found: dict[Spot, set[str]]) -> Iterator[Violation]:
    for stretch in index.case.stretches:
        inside = [
            s for s in found if s[:2] == (stretch.topic, stretch.partition) and stretch.first <= s[2] <= stretch.last
        ]
        if not inside:
            subject = f"{stretch.topic}[{stretch.partition}]@{stretch.first}-{stretch.last}"
            yield Violation("no dead letter", subject, f"{name} does not say that it was passed over")


def _in_stretch(index: Index, spot: Spot) -> bool:
    return any(
        spot[:2] == (stretch.topic, stretch.partition) and stretch.first <= spot[2] <= stretch.last
        for stretch in index.case.stretches
    )


def _order_at(index: Index, spot: Spot) -> str:
    for sent in index.case.published.sent():
        if (sent.topic, sent.partition, sent.offset) == spot:
            return f"{sent.message.what} of {sent.message.order_id}; {index.where(sent.message.order_id)}"
    return ""


def check_redrives(index: Index) -> Iterator[Violation]:
    """See that no letter had its effect twice, and that nobody was told twice."""
    done = Counter(letter for letter, result in index.case.found.redriven if result.startswith(DONE))
    for letter, times in done.items():
        if times > 1:
            yield Violation("double", f"letter {letter}", f"redriven {times} times")
    for key, times in Counter(index.case.told).items():
        if times > 1:
            yield Violation("double", key, f"a customer was told {times} times")


def check_copies(index: Index) -> Iterator[Violation]:
    """Topics and table tell the same letters, each once by its coordinates."""
    kept = Counter((*x.place, x.offset, x.reason) for x in index.case.found.kept)
    shown = {(*x.place, x.offset, x.reason) for x in index.case.found.letters}
    for spot in kept.keys() ^ shown:
        subject = f"{spot[0]}[{spot[1]}]@{spot[2]}"
        missing = "its topic" if spot in kept else "the table"
        yield Violation("no dead letter", subject, f"{spot[3]}: not in {missing}")
