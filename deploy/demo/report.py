"""The results of a run: one JSON document for programs, and a page for people."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from rich.markup import escape
from rich.text import Text

from deploy.demo.play import Played
from deploy.demo.script import ScriptedOrder
from deploy.demo.stories import OUTCOMES
from deploy.demo.telling import one_of_each
from deploy.views.audit_text import report_lines
from deploy.views.tables import align
from deploy.views.timeline import JournalEvent, Rank, timeline
from deploy.views.times import later
from outbox.audit import Report
from outbox.operators.queries import OrderRows
from schemas.money import Money

WIDTH: Final = 120
WRONG_SHOWN_MAX: Final = 20
FAULT: Final = "pm_fault_"
LEFT_OUT: Final = "CustomerNotificationRequested"
"""The notice to the customer stands on the next line. `payments order show` leaves nothing out."""
DETAIL: Final = re.compile(r"^version \d+$|\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$")


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed; 0 when there are none."""
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))] if sorted_values else 0.0


def document(played: Played) -> dict[str, Any]:
    """Return the document of CONTRACT, with kinds of orders, dead letters and what was wrong."""
    waits_s = sorted(played.progress.waits_s)
    seconds = played.progress.seconds
    return {
        "orders": len(played.script.orders),
        "seed": played.script.seed,
        "inventory": "http" if played.script.elsewhere else "internal",
        "seconds": round(seconds, 3),
        "orders_per_s": round(len(played.script.orders) / seconds, 1) if seconds else 0.0,
        "latency_ms": {name: round(percentile(waits_s, share) * 1_000, 1) for name, share in _PERCENTILES},
        "outcomes": played.verdict.outcomes,
        "expected": played.verdict.expected,
        "audit": played.audit.as_json(),
        "kafka": played.kafka,
        "postgresql": played.postgresql,
        "as_expected": played.good,
        "kinds": {kind: {"orders": count, "as_expected": right} for kind, count, right in _by_kind(played)},
        "mails": {"expected": _mails_expected(played), "came": _mails_by_kind(played)},
        "dead_letters": [{"reason": reason, "key": key} for reason, key in sorted(played.observed.letters)],
        "wrong": played.verdict.wrong,
    }


_PERCENTILES: Final = (("p50", 0.5), ("p99", 0.99))


def page(played: Played, tick: str, cross: str) -> Iterator[str | Text]:
    """Return the page: lines of rich's markup, or of its text."""
    yield ""
    yield "[bold]Every kind of order, and how many ended as the script says[/bold]"
    yield from _kinds(played, tick, cross)
    yield ""
    yield "[bold]One of each[/bold]"
    for order, stored, events in played.shown:
        yield from _order_lines(order, stored, events)
    yield ""
    yield "[bold]One mail of each kind, as it came[/bold]"
    yield from _mails(played, tick, cross)
    yield ""
    yield "[bold]Messages that nobody can act on, kept as dead letters[/bold]"
    yield from _letters(played, tick, cross)
    yield ""
    yield "[bold]The audit, against the database, the topics and the gateway's own ledger[/bold]"
    for line in report_lines(_brief(played.audit)):
        yield Text.from_ansi("  " + line.replace("✓", tick).replace("✗", cross))
    yield ""
    yield from _conclusion(played, tick, cross)


def _brief(report: Report) -> Report:
    """Leave out the notes of what holds: sums by currency, which `payments audit` shows."""
    return replace(report, invariants=tuple(replace(i, notes=()) if i.holds else i for i in report.invariants))


def _by_kind(played: Played) -> list[tuple[str, int, int]]:
    found = []
    for kind in played.script.kinds:
        orders = [order for order in played.script.orders if order.kind is kind]
        found.append((kind.title, len(orders), sum(played.verdict.as_expected(order) for order in orders)))
    return found


def _kinds(played: Played, tick: str, cross: str) -> Iterator[str]:
    counts = _by_kind(played)
    rows = [(title, f"{right} of {count}") for title, count, right in counts]
    for line, (_, count, right) in zip(align(rows, right=frozenset({1})), counts, strict=True):
        yield f"  {_sign(count == right, tick, cross)} {escape(line)}"


def _order_lines(order: ScriptedOrder, stored: OrderRows, events: list[JournalEvent]) -> Iterator[str]:
    total = Money(stored.order["total_minor"], stored.order["currency"])
    faults = [token.removeprefix(FAULT) for token in order.story.tokens if token.startswith(FAULT)]
    about = ", ".join([order.order_id, str(total), *faults])
    yield ""
    yield f"  [cyan]{order.kind.title}[/cyan]  [dim]{about}[/dim]"
    entries = timeline(stored, events)
    start = entries[0].at
    rows = [
        (later(entry.at - start), entry.who, entry.what, _short(entry.details))
        for entry in entries
        # The beginning of a call matters only if its answer came late.
        if entry.what != LEFT_OUT and (entry.rank != Rank.OPENED or order.story.slow)
    ]
    for line in align(rows, right=frozenset({0})):
        yield "    " + escape(line if len(line) <= WIDTH else line[: WIDTH - 3] + "...")


def _short(details: str) -> str:
    """Leave out of an entry what a first look does not need: versions and dates."""
    return ", ".join(part for part in details.split(", ") if not DETAIL.search(part))


def _mails_expected(played: Played) -> dict[str, int]:
    total: Counter[str] = Counter()
    for order in played.script.orders:
        total.update(order.story.mails)
    return dict(sorted(total.items()))


def _mails_by_kind(played: Played) -> dict[str, int]:
    kinds: dict[UUID | None, str] = {one.event_id: one.kind for one in played.told}
    return dict(sorted(Counter(kinds.get(mail.event_id, "unknown") for mail in played.mails).items()))


def _mails(played: Played, tick: str, cross: str) -> Iterator[str]:
    came, expected = _mails_by_kind(played), _mails_expected(played)
    shown = one_of_each(played.told, played.mails)
    for kind in sorted(came.keys() | expected.keys()):
        found, wanted = came.get(kind, 0), expected.get(kind, 0)
        yield ""
        yield f"  {_sign(found == wanted, tick, cross)} [cyan]{kind}[/cyan]  [dim]{found} of {wanted} mails[/dim]"
        if kind in shown:
            yield f"    To: {escape(shown[kind].recipient)}"
            yield f"    Subject: {escape(shown[kind].subject)}"
            yield from (f"    {escape(line)}" for line in shown[kind].text.strip().splitlines())


def _letters(played: Played, tick: str, cross: str) -> Iterator[str]:
    seen = played.observed.letters
    rows = [(stray.title, stray.reason, str((stray.reason, stray.key) in seen)) for stray in played.script.strays]
    changed = [letter for letter in played.script.letters if letter[0] == "conflict"]
    if changed:
        title = "a known order id with other content" + (f" ({len(changed)} times)" if len(changed) > 1 else "")
        rows.append((title, "conflict", str(all(letter in seen for letter in changed))))
    for line, (_, _, right) in zip(align([row[:2] for row in rows]), rows, strict=True):
        yield f"  {_sign(right == 'True', tick, cross)} {escape(line)}"


def _conclusion(played: Played, tick: str, cross: str) -> Iterator[str]:
    found = document(played)
    counts = ", ".join(f"{played.verdict.outcomes[name]} {name}" for name in OUTCOMES if played.verdict.outcomes[name])
    latency = found["latency_ms"]
    yield (f"{found['orders']} orders in {found['seconds']:.1f} s ({found['orders_per_s']:.0f} a second): {counts}")
    yield (
        f"from confirmed to the outcome on its topic: half within {latency['p50'] / 1000:.2f} s, "
        f"99 % within {latency['p99'] / 1000:.2f} s (time-outs of the gateway are part of it)"
    )
    if played.good:
        good = "every order ended as its script says, and every invariant holds"
        yield f"{_sign(True, tick, cross)} [green]{good}[/green]"
        return
    wrong = played.verdict.wrong
    for order_id in list(wrong)[:WRONG_SHOWN_MAX]:
        yield f"{_sign(False, tick, cross)} {escape(order_id)}: {escape('; '.join(wrong[order_id]))}"
    if len(wrong) > WRONG_SHOWN_MAX:
        yield f"  and {len(wrong) - WRONG_SHOWN_MAX} more"
    broken = [str(invariant.id) for invariant in played.audit.invariants if not invariant.holds]
    parts = [f"{len(wrong)} not as the script says"] if wrong else []
    parts += [f"invariants that do not hold or cannot be said: {', '.join(broken)}"] if broken else []
    parts += ["the pipeline did not come to rest"] if not played.audit.quiescent else []
    yield f"{_sign(False, tick, cross)} [red]{'; '.join(parts)}[/red]"
    if played.log:
        yield "the pipeline's log ends with:"
        yield escape(played.log)


def _sign(good: bool, tick: str, cross: str) -> str:  # noqa: FBT001 - what the sign says
    return f"[green]{tick}[/green]" if good else f"[red]{cross}[/red]"
