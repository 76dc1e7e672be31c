"""What `list` and `redrive` share: options that say which letters are meant, and how letters are shown."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from deploy.cli.order_text import ago
from deploy.cli.tables import table
from deploy.settings import Settings
from outbox.operators.letter_list import Selection
from outbox.operators.queries import Record
from schemas.rejection import Reason
from schemas.topics import CONSUMED, topic_name

F = TypeVar("F", bound=Callable[..., Any])
DETAIL_MAX = 80
SHOWN = ("id", "topic", "partition", "offset", "order_id", "event_id", "reason", "detail", "at", "count", "redriven")
"""Of the contract. What follows is ours."""
BESIDES = ("group", "kind", "waits", "behind", "masked", "given_up")


class Moment(click.ParamType):  # type: ignore[type-arg]
    """A time in ISO 8601; without an offset it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time: write it as 2026-11-28T23:00:00+00:00", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def selecting(command: F) -> F:
    """Add the options that select letters."""
    for option in (
        click.option("--until", type=Moment(), metavar="TIME", help="Refused then or before (ISO 8601, UTC)."),
        click.option("--since", type=Moment(), metavar="TIME", help="Refused then or later (ISO 8601, UTC)."),
        click.option("--order", "order_id", metavar="ID", help="Of this order."),
        click.option("--reason", type=click.Choice([reason.value for reason in Reason]), help="Refused for this."),
        click.option("--topic", help="Of this topic, with or without the prefix."),
    ):
        command = option(command)
    return command


def selection(
    settings: Settings,
    *,
    topic: str | None,
    reason: str | None,
    order_id: str | None,
    since: datetime | None,
    until: datetime | None,
    **more: Any,
) -> Selection:
    """Turn the options into what is asked of the database. more: other fields of it."""
    if topic is not None:
        event_type = topic.removeprefix(settings.topic_prefix)
        if event_type not in CONSUMED:
            raise click.BadParameter(f"nobody here reads a topic {topic}; those that are read: {', '.join(CONSUMED)}")
        topic = topic_name(settings.topic_prefix, event_type)
    return Selection(topic, reason, order_id, since, until, **more)


def document(record: Record, **more: object) -> dict[str, object]:
    """Return a letter as JSON shows it. more: other fields."""
    return {name: record[name] for name in (*SHOWN, *BESIDES)} | more


def state_of(record: Record) -> str:
    """Say in a word where a letter stands."""
    if record["given_up"]:
        return "given up"
    if record["redriven_at"] is not None:
        return "redriven"
    if record["waits"]:
        return "waits behind" if record["behind"] else "in quarantine"
    return "refused" if record["count"] == 1 else f"refused {record['count']} times"


def place_of(record: Record) -> str:
    """Say where a letter came from."""
    if record["topic"] is None:
        return f"({record['kind']})"
    return f"{record['topic']}[{record['partition']}]@{record['offset']}"


def letter_lines(records: Iterable[Record], now: datetime) -> Iterator[str]:
    """Show letters as a table, one a line."""
    rows = [
        (
            str(record["id"]),
            record["reason"],
            state_of(record),
            record["order_id"] or "-",
            place_of(record),
            ago(now - record["at"]),
            _short(record["detail"]),
        )
        for record in records
    ]
    yield from table(("id", "reason", "state", "order", "from", "when", "detail"), rows, right=frozenset({0}))


def _short(text: str) -> str:
    return text if len(text) <= DETAIL_MAX else f"{text[: DETAIL_MAX - 3]}..."
