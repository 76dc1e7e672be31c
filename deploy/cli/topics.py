"""`payments topics`: the topics of all events, and of their dead letters."""

import click

from deploy.cli.common import emit, emit_json, json_option, run, settings_for_command
from producers.topics import create_topics
from schemas.topics import CONSUMED, TOPICS, dead_letter_topic, topic_name


@click.group()
def topics() -> None:
    """Kafka topics."""


def all_topics(prefix: str) -> list[str]:
    """Name every topic that the pipeline reads or writes, dead letters included."""
    events = [topic_name(prefix, event_type) for event_type in TOPICS]
    return events + [dead_letter_topic(prefix, event_type) for event_type in CONSUMED]


@topics.command()
@json_option
def create(*, as_json: bool) -> None:
    """Create the topics that are not there, with the right settings.

    May be repeated: topics that exist are left as they are.
    PAYMENTS_TOPIC_PREFIX, _PARTITIONS and _REPLICATION_FACTOR say how.
    """
    settings = settings_for_command()
    made = run(
        create_topics(
            settings.kafka_options(),
            all_topics(settings.topic_prefix),
            partitions=settings.topic_partitions,
            replication_factor=settings.topic_replication_factor,
            event_bytes_max=settings.event_bytes_max,
        )
    )
    if as_json:
        emit_json({"created": made.created, "existing": made.existing})
        return
    for name in made.created:
        emit(name)
    emit(f"{len(made.created)} topics created, {len(made.existing)} were there")
