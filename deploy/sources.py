"""What consumers read from: a member of its group for each reaction."""

import os
import platform
from collections.abc import Callable
from functools import partial

from consumers.adapters.kafka.source import KafkaSource
from deploy.settings import Settings
from domain.ports.source import Source
from domain.reaction import Reaction
from schemas.topics import topic_name


def source_maker(settings: Settings, joined: Callable[[str], None] = lambda _: None) -> Callable[[Reaction], Source]:
    """Return a function that makes a member of a reaction's consumer group. Group names have the topics' prefix.

    joined: called with the reaction's name when it has joined.
    """
    # Kafka assigns partitions in the order of the members' names, which begin with this. So a process gets the same
    # partitions of every topic, and one process handles all events of an order.
    connection = {**settings.kafka_options(), "client_id": f"payments-{platform.node()}-{os.getpid()}"}
    prefix = settings.topic_prefix

    def make(reaction: Reaction) -> Source:
        return KafkaSource(
            topic_name(prefix, reaction.trigger.TYPE),
            prefix + reaction.group,
            connection,
            linger_s=settings.linger_ms / 1000,
            drain_timeout_s=settings.drain_timeout_s,
            unpacked_bytes_max=settings.unpacked_bytes_max,
            on_joined=partial(joined, reaction.name),
        )

    return make
