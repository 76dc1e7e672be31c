"""The rights that a reader needs at Kafka, for the administrator of the brokers."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.contract_pages.reader import Reader
from schemas.topics import dead_letter_topic, topic_name

BROKER = "BROKER:9092"
WRITE, READ, DESCRIBE = "Write", "Read", "Describe"


@dataclass(frozen=True, slots=True)
class Right:
    """Operations on one topic or on groups of a prefix. resource: topic or group. pattern: literal or prefixed."""

    resource: str
    name: str
    pattern: str
    operations: tuple[str, ...]
    why: str


def rights_of(reader: Reader, prefix: str) -> list[Right]:
    """Return every right that this reader needs, and no more. prefix: of the topics."""
    rights = [
        Right("topic", topic_name(prefix, event_type), "literal", (WRITE, DESCRIBE), "you publish it")
        for event_type in reader.publishes
    ]
    rights += [
        Right("topic", topic_name(prefix, event_type), "literal", (READ, DESCRIBE), "you subscribe to it")
        for event_type in reader.reads
    ]
    rights += [
        Right("topic", dead_letter_topic(prefix, event_type), "literal", (READ, DESCRIBE), "what was refused of yours")
        for event_type in reader.dead_letters
    ]
    groups = Right("group", f"{prefix}{reader.slug}.", "prefixed", (READ,), "your consumer groups begin so")
    return [*rights, groups]


def commands(reader: Reader, rights: Sequence[Right]) -> list[str]:
    """Return the rights as commands of Kafka's own tool, for a user that is named like the reader's page."""
    return [_command(f"User:{reader.slug}", right) for right in rights]


def _command(principal: str, right: Right) -> str:
    words = ["kafka-acls.sh", "--bootstrap-server", BROKER, "--add", "--allow-principal", principal]
    for operation in right.operations:
        words += ["--operation", operation]
    words += [f"--{right.resource}", right.name]
    if right.pattern == "prefixed":
        words += ["--resource-pattern-type", right.pattern]
    return shlex.join(words)
