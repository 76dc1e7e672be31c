"""`payments audit`: whether everything that must hold does."""

from collections.abc import Iterator

import click

from deploy.auditing import run_audit
from deploy.cli.common import emit_json, json_option, run, say, settings_for_command
from deploy.cli.failures import ANSWER_IS_NO
from deploy.readiness import check_schema
from deploy.roles import quieten_kafka
from deploy.terminal import visible
from outbox.audit import Invariant, Report

VIOLATIONS_TOLD = 20
SIGNS = {True: click.style("✓", fg="green"), False: click.style("✗", fg="red"), None: click.style("-", fg="yellow")}


@click.command()
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), metavar="S", help="Wait so long for quiescence.")
@click.option("--topics", is_flag=True, help="Read every topic as well: invariants 10 and 11.")
@json_option
def audit(*, wait_s: float | None, topics: bool, as_json: bool) -> int:
    """Check the invariants of the whole pipeline, against the database and the gateway's own ledger.

    Some can only be said while nothing is under way (a dash: not now); --wait S waits for that, S seconds at the most.
    A pending refund counts as rest. The exit code is 1 if an invariant is broken, or if --wait was in vain.
    """
    settings = settings_for_command()
    quieten_kafka(settings)
    check_schema(settings)
    report = run(run_audit(settings, topics=topics, wait_s=wait_s, progress=lambda text: say(f"waiting: {text}")))
    in_vain = wait_s is not None and not report.quiescent
    if as_json:
        emit_json(report.as_json())
        for invariant in report.invariants:
            for note in invariant.notes:
                say(f"{invariant.id}: {note}")
    else:
        for line in report_lines(report):
            click.echo(line)
    if in_vain:
        waiting = "; ".join(report.waiting)
        say(f"payments: not quiescent after {wait_s:g} s ({waiting}): wait longer, or see what is stuck")
    return 0 if report.holds and not in_vain else ANSWER_IS_NO


def report_lines(report: Report) -> Iterator[str]:
    """Tell an audit: a line for each invariant, below it what is wrong and what else is to be known."""
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
    for violation in invariant.violations[:VIOLATIONS_TOLD]:
        yield f"      {visible(violation)}"
    if invariant.found > VIOLATIONS_TOLD:
        yield f"      {invariant.found} in all; --json lists more"
    for note in invariant.notes:
        yield click.style(f"      ({visible(note)})", dim=True)
