"""`payments audit`: checks the invariants."""

import click

from deploy.auditing import run_audit
from deploy.cli.common import emit_json, json_option, say, seldom, settings_for_command
from deploy.failures import ANSWER_IS_NO
from deploy.readiness import check_schema
from deploy.running import run
from deploy.telemetry import quieten_kafka
from deploy.views.audit_text import report_lines


@click.command()
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), metavar="S", help="Wait so long for quiescence.")
@click.option("--topics", is_flag=True, help="Read every topic as well: invariants 10 and 11.")
@json_option
def audit(*, wait_s: float | None, topics: bool, as_json: bool) -> int:
    """Check the invariants of the whole pipeline, against the database and the gateway's own ledger.

    At Stripe these are its lists of the last weeks: they do not show all that 2 and 3 speak of.

    Some can be checked only while nothing is under way (a dash: not now). --wait S waits for that, at most S seconds.
    A pending refund counts as rest. The exit code is 1 if an invariant is broken, or if --wait was in vain.
    """
    settings = settings_for_command()
    quieten_kafka(settings)
    check_schema(settings)
    auditing = run_audit(
        settings, topics=topics, wait_s=wait_s, progress=lambda text: say(f"waiting: {text}"), listing=seldom(say)
    )
    report = run(auditing)
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
