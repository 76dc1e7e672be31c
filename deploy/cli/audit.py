"""`payments audit`: checks the invariants."""

import sys
import time

import click

from deploy.auditing import run_audit
from deploy.cli.common import emit_json, json_option, say, seldom, settings_for_command
from deploy.failures import ANSWER_IS_NO
from deploy.presence import announce_command
from deploy.readiness import check_schema
from deploy.rebuilding import Into, TakenOver, run_rebuild, take_over
from deploy.running import run
from deploy.settings import Settings
from deploy.settings.places import check_database_url
from deploy.telemetry import quieten_kafka
from deploy.views.audit_text import report_lines
from deploy.views.rebuild_text import Listing, report_of, summary_lines
from deploy.views.takeover_text import taken_document, taken_lines
from deploy.views.terminal import visible_json
from outbox.audit import Report
from outbox.audit.rebuild import DEFAULT_SCHEMA

NAME_BYTES_MAX = 63
"""PostgreSQL cuts longer names, and keeps names that begin with pg_ for itself."""


@click.command()
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), metavar="S", help="Wait so long for quiescence.")
@click.option("--topics", is_flag=True, help="Read every topic as well: invariants 10 and 11.")
@click.option("--rebuild", is_flag=True, help="Invariant 12 alone: the topics give the same orders. Asks no gateway.")
@click.option("--into", metavar="URL", help="With --rebuild: the database to build in (default: the live one).")
@click.option("--schema", metavar="NAME", help=f"With --rebuild: the schema to make there (default {DEFAULT_SCHEMA}).")
@click.option("--keep", is_flag=True, help="With --rebuild: leave the schema there, to be looked at.")
@click.option("--apply", is_flag=True, help="With --rebuild: after a restore, take over what the topics say.")
@json_option
def audit(
    *,
    wait_s: float | None,
    topics: bool,
    rebuild: bool,
    into: str | None,
    schema: str | None,
    keep: bool,
    apply: bool,
    as_json: bool,
) -> int:
    """Check the invariants of the whole pipeline, against the database and the gateway's own ledger.

    At Stripe these are its lists of the last weeks: they do not show all that 2 and 3 speak of.

    Some can be checked only while nothing is under way (a dash: not now). --wait S waits for that, at most S seconds.
    A pending refund counts as rest. The exit code is 1 if an invariant is broken, or if --wait was in vain.

    --rebuild folds all topics into a schema of its own, and compares every order with the database: status, attempt,
    version, amounts, references. Orders that differ are named, with their fields; those that the topics cannot speak of
    are listed apart, with the reason. The schema must not be there, or be empty; it is dropped afterwards.

    --apply is for a database that comes back from a backup, see deploy/RESTORE.md. First it brings every order to where
    its events say that it stands, by the rules that decided about it; calls that may have been under way are opened, to
    be looked up. Then it compares. It calls nobody outside, and is refused while a process of ours works. It may be
    interrupted, and repeated. An order that cannot be brought there waits in quarantine.
    """
    if rebuild and topics:
        raise click.UsageError("--rebuild reads the topics by itself, for invariant 12 alone: run --topics apart")
    if not rebuild and (into is not None or schema is not None or keep or apply):
        raise click.UsageError("--into, --schema, --keep and --apply belong to --rebuild")
    place = _place(into, DEFAULT_SCHEMA if schema is None else schema, keep=keep)
    settings = settings_for_command()
    quieten_kafka(settings)
    check_schema(settings)
    if apply:
        announce_command(settings)
    if rebuild:
        taken = run(take_over(settings, place, seldom(say))) if apply else None
        return _rebuild(settings, place, wait_s, taken, as_json=as_json)
    auditing = run_audit(
        settings, topics=topics, wait_s=wait_s, progress=_tell_waiting, listing=seldom(say), parts=seldom(say)
    )
    report = run(auditing)
    if as_json:
        emit_json(report.as_json())
        for invariant in report.invariants:
            for note in invariant.notes:
                say(f"{invariant.id}: {note}")
    else:
        for line in report_lines(report):
            click.echo(line)
    return _exit_code(report, wait_s)


def _place(into: str | None, schema: str, *, keep: bool) -> Into:
    """Return where to build. libpq's own error about a wrong URL may quote a password, so the URL is checked here."""
    if into is not None:
        try:
            check_database_url("--into", into)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    if not 0 < len(schema.encode()) <= NAME_BYTES_MAX or schema.startswith("pg_"):
        raise click.UsageError(f"--schema has 1 to {NAME_BYTES_MAX} bytes, and does not begin with pg_")
    return Into(into, schema, keep)


def _rebuild(settings: Settings, into: Into, wait_s: float | None, taken: TakenOver | None, *, as_json: bool) -> int:
    began = time.monotonic()
    with Listing() as listing:
        rebuilding = run_rebuild(
            settings, into, wait_s=wait_s, tell=listing.take, progress=seldom(say), waiting=_tell_waiting
        )
        rebuilt, waiting = run(rebuilding)
        seconds = time.monotonic() - began
        report = report_of(rebuilt, listing, waiting)
        if as_json:
            for part in listing.document(rebuilt, report, seconds, taken_document(taken)):
                sys.stdout.write(visible_json(part))
            for note in report.invariants[0].notes:
                say(note)
        else:
            for line in (*taken_lines(taken), *report_lines(report), *summary_lines(rebuilt, seconds)):
                click.echo(line)
    if into.keep:
        say(f"kept: schema {into.schema}, tables live_order, told_order and said")
    return ANSWER_IS_NO if taken is not None and taken.left else _exit_code(report, wait_s)


def _tell_waiting(text: str) -> None:
    say(f"waiting: {text}")


def _exit_code(report: Report, wait_s: float | None) -> int:
    """Return 1 if an invariant is broken, or if it was waited in vain, and say so."""
    in_vain = wait_s is not None and not report.quiescent
    if in_vain:
        waiting = "; ".join(report.waiting)
        say(f"payments: not quiescent after {wait_s:g} s ({waiting}): wait longer, or see what is stuck")
    return 0 if report.holds and not in_vain else ANSWER_IS_NO
