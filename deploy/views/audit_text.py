"""An audit as text for people."""

from collections.abc import Iterator

import click

from deploy.views.terminal import visible
from outbox.audit import Invariant, Report

VIOLATIONS_SHOWN_MAX = 20
SIGNS = {True: click.style("✓", fg="green"), False: click.style("✗", fg="red"), None: click.style("-", fg="yellow")}


def report_lines(report: Report) -> Iterator[str]:
    """Show an audit: a line for each invariant, and below it violations and notes."""
    width = max(len(f"{invariant.checked:,}") for invariant in report.invariants)
    for invariant in report.invariants:
        yield f"{SIGNS[invariant.holds]} {invariant.id:>2}  {invariant.checked:>{width},} checked  {invariant.name}"
        yield from _details(invariant)
    broken = sum(invariant.holds is False for invariant in report.invariants)
    unsaid = sum(invariant.holds is None for invariant in report.invariants)
    said = f"{broken} broken" if broken else "all hold" if not unsaid else "none broken"
    yield f"{said}{f', {unsaid} cannot be said now' if unsaid else ''}; " + (
        "quiescent" if report.quiescent else f"not quiescent: {visible('; '.join(report.waiting))}"
    )


def _details(invariant: Invariant) -> Iterator[str]:
    for violation in invariant.violations[:VIOLATIONS_SHOWN_MAX]:
        yield f"      {visible(violation)}"
    if invariant.found > VIOLATIONS_SHOWN_MAX:
        yield f"      {invariant.found} in all; --json lists more"
    for note in invariant.notes:
        yield click.style(f"      ({visible(note)})", dim=True)
