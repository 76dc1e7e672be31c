"""`payments replay`: topics as files for analysts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from deploy.cli.common import answer, emit_json, json_option, say, seldom, settings_for_command
from deploy.failures import WRONG_USAGE, Failure
from deploy.running import run

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(click.ParamType):  # type: ignore[type-arg]
    """A time as ISO 8601, UTC unless it says otherwise; as milliseconds since 1970."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the first millisecond that is not before the time."""
        if isinstance(value, int):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time such as 2026-03-01 or 2026-03-01T12:00+01:00", param, ctx)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return -((_EPOCH - moment) // timedelta(milliseconds=1))


@click.command()
@click.argument("topics", nargs=-1, metavar="TOPIC...")
@click.option("--from", "begin_ms", type=Moment(), metavar="T", help="Only messages of T or later (ISO 8601, UTC).")
@click.option("--to", "end_ms", type=Moment(), metavar="T", help="Only messages before T.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    default=Path("replay"),
    show_default=True,
    help="The folder of the files.",
)
@click.option("--format", "form", type=click.Choice(["parquet", "jsonl"]), default="parquet", show_default=True)
@click.option("--dictionary", "only_dictionary", is_flag=True, help="Print every topic and column, and read nothing.")
@json_option
def replay(
    *,
    topics: tuple[str, ...],
    begin_ms: int | None,
    end_ms: int | None,
    out: Path,
    form: str,
    only_dictionary: bool,
    as_json: bool,
) -> None:
    """Copy topics into files, each event once: DIR/topic=TOPIC/day=DAY/PARTITION-FIRST-LAST.parquet.

    TOPIC is the name of an event, or `all`. DAY is that of occurred_at, in UTC. FIRST and LAST are offsets. A run ends
    at the last message that is there when it begins. The next run into DIR goes on where the last one ended, also after
    a crash. DIR/rejected.jsonl has what is no event, DIR/dictionary.md explains every column, DIR/views.sql makes views
    for DuckDB.

    --from and --to compare the messages' own timestamps. A folder that was begun with them takes no others.

    It needs Kafka, and of it Describe and Read on the topics: no consumer group, no database. Payment tokens and the
    gateway's ids of customers are hidden. Parquet needs the extra `replay`.
    """
    if only_dictionary:
        _print_dictionary(form, as_json=as_json)
        return
    if not topics:
        raise click.UsageError("Name topics, or `all`.")
    if begin_ms is not None and end_ms is not None and begin_ms >= end_ms:
        raise Failure("--from is not before --to: no message lies between", WRONG_USAGE)
    from deploy.replay.manifest import Window  # noqa: PLC0415 - keeps --help quick
    from deploy.replay.run import Wish, check_names, replay_topics  # noqa: PLC0415 - as above
    from deploy.telemetry import quieten_kafka  # noqa: PLC0415 - as above

    settings = settings_for_command()
    quieten_kafka(settings)
    wish = Wish(check_names(topics, settings.topic_prefix), out, form, Window(begin_ms, end_ms))
    done = run(replay_topics(settings, wish, seldom(say)))
    answer(done.as_json(), done.lines(), as_json=as_json)


def _print_dictionary(form: str, *, as_json: bool) -> None:
    from deploy.replay.dictionary import dictionary, dictionary_json  # noqa: PLC0415 - keeps --help quick

    if as_json:
        emit_json(dictionary_json())
    else:
        click.echo(dictionary(form))
