"""`payments offsets show`: what each group has committed, and what it reads next."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from deploy.cli.common import answer, json_option, settings_for_command
from deploy.running import run
from deploy.views.tables import table

if TYPE_CHECKING:
    from deploy.offsets import Group

HEADS = ("group", "members", "partition", "committed", "end", "behind", "next record")
_NUMBERS = frozenset({1, 2, 3, 4, 5})


@click.command()
@json_option
def show(*, as_json: bool) -> None:
    """Show what each consumer group of ours has committed of each partition of its topic.

    `end` is the offset behind the last record, `behind` counts offsets up to it, `next record` is the time-stamp of
    the record that is read next. A group that has committed nothing (-) begins at the first record. It needs Kafka:
    Describe and Read on the topics and on the groups.
    """
    from deploy.offsets import show_offsets  # noqa: PLC0415 - keeps --help quick

    groups = run(show_offsets(settings_for_command()))
    answer({"groups": [_document(group) for group in groups]}, _lines(groups), as_json=as_json)


def _lines(groups: Sequence["Group"]) -> list[str]:
    rows = [
        (
            group.group,
            str(len(group.members)),
            str(s.partition),
            "-" if s.committed is None else f"{s.committed}{' (earlier topic)' if s.earlier_topic else ''}",
            str(s.end),
            str(s.behind),
            "-" if s.next_at is None else s.next_at.isoformat(timespec="milliseconds"),
        )
        for group in groups
        for s in group.standings
    ]
    return table(HEADS, rows, right=_NUMBERS)


def _document(group: "Group") -> dict[str, Any]:
    return {
        "group": group.group,
        "topic": group.topic,
        "members": [member._asdict() for member in group.members],
        "partitions": [
            {
                "partition": s.partition,
                "committed": s.committed,
                "first": s.first,
                "end": s.end,
                "behind": s.behind,
                "next_at": s.next_at,
                "earlier_topic": s.earlier_topic,
            }
            for s in group.standings
        ],
    }
