"""`payments topics`: the topics of all events, and of their dead letters."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import click

from deploy.cli.common import emit, emit_json, json_option, run, say, settings_for_command
from deploy.settings import Settings
from deploy.topics import owners_of, todo_of, wanted_of
from producers.topic_settings import Difference, Owner, Weight
from producers.topics import TopicsMade, create_topics, mend_topics, survey_topics

LOOKS_MAX: Final = 20
LOOK_AGAIN_S: Final = 0.25


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
    made, differences, refused, unread = run(_create(settings, mended))
    stops = any(d.weight is Weight.STOPS and not d.mended for d in differences)
    if as_json:
        rows = [_row(difference) for difference in differences]
        emit_json(
            {
                "created": made.created,
                "existing": made.existing,
                "differences": rows,
                "not_mended": refused,
                "not_compared": unread,
            }
        )
        return 1 if stops else 0
    for name in made.created:
        emit(name)
    for difference in differences:
        emit(_line(difference))
    for topic, why in refused.items():
        say(f"{topic} was not mended: {why}")
    for topic, why in unread.items():
        say(f"{topic} was not compared, for its settings cannot be read: {why}")
    differ = sum(not d.mended for d in differences)
    emit(
        f"{len(made.created)} topics created, {len(made.existing)} were there"
        + (f", {differ} differences" if differ else "")
    )
    return 1 if stops else 0


async def _create(
    settings: Settings, mended: set[Owner]
) -> tuple[TopicsMade, list[Difference], dict[str, str], Mapping[str, str]]:
    """Make, compare, mend and compare again. What was mended comes first."""
    kafka, owners, wanted = settings.kafka_options(), owners_of(settings.topic_prefix), wanted_of(settings)
    made = await create_topics(
        kafka,
        owners,
        partitions=wanted.partitions,
        replication_factor=wanted.replication_factor,
        event_bytes_max=wanted.event_bytes_max,
    )
    found = {topic: owners[topic] for topic in made.existing}
    survey = await survey_topics(kafka, found, wanted)
    to_mend = [d for d in survey.differences if d.owner in mended and d.mend is not None]
    if not to_mend:
        return made, list(survey.differences), {}, survey.unread
    refused = await mend_topics(kafka, to_mend)
    asked = {(d.topic, d.setting) for d in to_mend if d.topic not in refused}
    for _ in range(LOOKS_MAX):
        after = await survey_topics(kafka, found, wanted)
        left = {(d.topic, d.setting) for d in after.differences}
        if not asked & left:
            break
        # A broker shows a change a moment after the controller has it.
        await asyncio.sleep(LOOK_AGAIN_S)
    done = [replace(d, mended=True) for d in to_mend if (d.topic, d.setting) not in left]
    return made, [*done, *after.differences], refused, after.unread


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
