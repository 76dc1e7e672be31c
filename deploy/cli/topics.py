"""`payments topics`: the topics of all events, and of their dead letters."""

from typing import Any

import click

from deploy.cli.common import answer, emit, json_option, say, settings_for_command
from deploy.preparing import prepare_topics
from deploy.running import run
from deploy.topics import todo_of
from producers.topic_settings import Difference, Owner, Weight
from schemas.texts import counted


@click.group()
def topics() -> None:
    """Kafka topics."""


@topics.command()
@click.option("--mend", is_flag=True, help="Set right what differs of our topics and of dead letters.")
@click.option("--mend-upstream", is_flag=True, help="The same for topics that others publish; they may not expect it.")
@json_option
def create(*, mend: bool, mend_upstream: bool, as_json: bool) -> int:
    """Create the topics that are not there, with the right settings; say how the others differ.

    May be repeated. Topics that exist are left as they are unless they are to be mended: then partitions are added,
    and settings are set with which no event is lost. Nothing is kept for a shorter time than before, and no partition
    is taken away. Added partitions move keys: do it while nothing is under way. Exit 1 if a topic stays such that no
    role starts. PAYMENTS_TOPIC_PREFIX, _PARTITIONS and _REPLICATION_FACTOR say how.
    """
    settings = settings_for_command()
    mended = ({Owner.OURS, Owner.LETTERS} if mend else set()) | ({Owner.UPSTREAM} if mend_upstream else set())
    made, differences, refused, unread = run(prepare_topics(settings, mended))
    stops = any(d.weight is Weight.STOPS and not d.mended for d in differences)
    document = {
        "created": made.created,
        "existing": made.existing,
        "differences": [_row(difference) for difference in differences],
        "not_mended": refused,
        "not_compared": unread,
    }
    answer(document, [*made.created, *map(_line, differences)], as_json=as_json)
    if as_json:
        return 1 if stops else 0
    for topic, why in refused.items():
        say(f"{topic} was not mended: {why}")
    for topic, why in unread.items():
        say(f"{topic} was not compared, because its settings cannot be read: {why}")
    differ = sum(not d.mended for d in differences)
    emit(
        f"{counted(len(made.created), 'topic')} created, {counted(len(made.existing), 'was', 'were')} there"
        + (f", {counted(differ, 'difference')}" if differ else "")
    )
    return 1 if stops else 0


def _line(d: Difference) -> str:
    if d.mended:
        return f"{d.topic}: {d.setting} was {d.found}, and is mended"
    return f"{d.topic}: {d.setting} is {d.found}, wanted {d.wanted}: {d.why} ({d.weight}; {todo_of(d)})"


def _row(d: Difference) -> dict[str, Any]:
    return {
        "topic": d.topic,
        "setting": d.setting,
        "found": d.found,
        "wanted": d.wanted,
        "weight": d.weight,
        "why": d.why,
        "todo": todo_of(d),
        "mended": d.mended,
    }
