"""What the chart knows of the product: topics, reactions, the rights of each Kafka user."""

from typing import Any, Final

import yaml

from consumers.reactions import REACTIONS
from schemas.topics import TOPICS, Topic, dead_letter_topic

HEAD: Final = (
    "# Made by `python -m tests.chart --write` from schemas/topics.py and consumers/reactions.py; a test compares.\n"
)
SEE: Final = ["Describe", "DescribeConfigs"]
"""Each process checks at start that all topics are there and lose nothing."""


def table() -> dict[str, Any]:
    """Return topics, reactions and users, in the order of the product's tables."""
    return {
        "topics": [{"event": event, "ours": topic.ours, "consumed": topic.consumed} for event, topic in TOPICS.items()],
        "reactions": [
            {"name": reaction.name, "trigger": reaction.trigger.TYPE, "group": reaction.group} for reaction in REACTIONS
        ],
        "users": {
            "consume": [*_topics(read=True), *_groups("Read", "Describe")],
            "relay": _topics(write=True),
            # It measures how far each group is behind, and how old the first message is that a group has not read.
            "sweep": [*_topics(read=True), *_groups("Describe")],
        },
    }


def table_text() -> str:
    """Return the file of the chart."""
    return HEAD + str(yaml.safe_dump(table(), sort_keys=False, default_flow_style=None, width=200))


def _topics(*, read: bool = False, write: bool = False) -> list[dict[str, Any]]:
    rights = []
    for event, topic in TOPICS.items():
        rights.append(_right("topic", event, [*_own(topic, read=read, write=write), *SEE]))
        if topic.consumed:
            rights.append(_right("topic", dead_letter_topic("", event), [*(["Write"] if write else []), *SEE]))
    return rights


def _own(topic: Topic, *, read: bool, write: bool) -> list[str]:
    return (["Read"] if read and topic.consumed else []) + (["Write"] if write and topic.ours else [])


def _groups(*operations: str) -> list[dict[str, Any]]:
    return [_right("group", reaction.group, list(operations)) for reaction in REACTIONS]


def _right(kind: str, name: str, operations: list[str]) -> dict[str, Any]:
    return {"type": kind, "name": name, "operations": operations}
