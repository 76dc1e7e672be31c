"""`payments journal republish`: events of ours are sent again after Kafka has lost their topic."""

from datetime import datetime

import click

from deploy.cli.common import answer, json_option, say, seldom, settings_with_schema
from deploy.cli.moment import Moment
from deploy.failures import WRONG_USAGE, Failure
from deploy.running import now, run
from deploy.views.tables import table


@click.command()
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC...")
@click.option("--since", type=Moment(), required=True, metavar="TIME", help="Events of then or later (ISO 8601, UTC).")
@click.option("--until", type=Moment(), metavar="TIME", help="Only events before then.")
@click.option("--dry-run", is_flag=True, help="Count them, and change nothing.")
@click.option("--force", is_flag=True, help="Also what our consumers read and the inbox has forgotten.")
@json_option
def republish(
    *, topics: tuple[str, ...], since: datetime, until: datetime | None, dry_run: bool, force: bool, as_json: bool
) -> None:
    """Put events of ours into the outbox once more, in the order of the journal. The relay sends them.

    TOPIC is one that this module publishes, with or without the prefix, a dead letter topic, or `all`. A message has
    the same key, headers and body as the first time, and so the same event id: who has had it, drops it. It may be
    repeated. What waits in the outbox for these topics goes behind what came before it. TIME is that of the decision
    (occurred_at): take one well before the first message that is lost.

    Stop the relay before the topics are made anew, and start it afterwards; else new events come before old ones.
    Other processes wait while this runs. A topic that others publish is refused (exit 1). So is one that our consumers
    read, if --since is older than the inbox remembers (PAYMENTS_INBOX_RETENTION_DAYS): what would have an effect once
    more becomes a dead letter `too_old`, and has none. --force accepts that.

    It needs PostgreSQL: a user that may read `event`, and read, insert, update and delete in `outbox`.
    """
    from deploy.republishing import republish_topics  # noqa: PLC0415 - keeps --help quick

    if until is not None and since >= until:
        raise Failure("--since is not before --until: no event lies between", WRONG_USAGE)
    settings = settings_with_schema()
    tell = seldom(say)
    found = run(
        republish_topics(
            settings,
            topics,
            since,
            until,
            now=now(),
            progress=lambda count: tell(f"{count} events so far"),
            dry_run=dry_run,
            force=force,
        )
    )
    total = sum(found.values())
    document = {"since": since, "until": until, "dry_run": dry_run, "topics": found, "events": total}
    answer(
        document,
        table(("topic", "events"), [(t, str(n)) for t, n in found.items()], right=frozenset({1})),
        as_json=as_json,
    )
    say(f"{total} events {'would be' if dry_run else 'are'} put into the outbox again")
