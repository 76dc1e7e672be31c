"""What a folder of replayed topics holds: how far each partition was read. It is renamed into place after the data."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from deploy.failures import Failure

NAME: Final = "manifest.json"
VERSION: Final = 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Window(NamedTuple):
    """Which messages are wanted, by their own timestamps: begin <= timestamp < end, milliseconds since 1970."""

    begin_ms: int | None
    end_ms: int | None

    def has(self, timestamp_ms: int) -> bool:
        """Whether a message of this timestamp is wanted."""
        return (self.begin_ms is None or timestamp_ms >= self.begin_ms) and (
            self.end_ms is None or timestamp_ms < self.end_ms
        )


ALL: Final = Window(None, None)


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages of a topic. repeated: an event that is here already. rejected: see rejected.jsonl."""

    events: int = 0
    repeated: int = 0
    rejected: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.events + other.events, self.repeated + other.repeated, self.rejected + other.rejected)

    def __sub__(self, other: "Counts") -> "Counts":
        return self + Counts(-other.events, -other.repeated, -other.rejected)


@dataclass(frozen=True, slots=True)
class TopicState:
    """How far a topic was read. topic_id: differs after a topic was deleted and made anew. next: by partition."""

    topic_id: str
    next: Mapping[int, int] = field(default_factory=dict)
    counts: Counts = Counts()


@dataclass(frozen=True, slots=True)
class Manifest:
    """The state of a folder. rejected_bytes: what is behind them in rejected.jsonl was not committed."""

    form: str
    prefix: str
    window: Window = ALL
    rejected_bytes: int = 0
    topics: Mapping[str, TopicState] = field(default_factory=dict)

    def next_offset(self, event_type: str, partition: int) -> int | None:
        """Return the first offset that was not read yet; None if nothing of the partition was."""
        state = self.topics.get(event_type)
        return None if state is None else state.next.get(partition)

    def moved(self, event_type: str, topic_id: str, offsets: Mapping[int, int], counts: Counts) -> "Manifest":
        """Return the state after these partitions were read up to these offsets."""
        before = self.topics.get(event_type, TopicState(topic_id))
        after = TopicState(topic_id, {**before.next, **offsets}, before.counts + counts)
        return replace(self, topics={**self.topics, event_type: after})

    def as_text(self) -> str:
        """Return the file's text."""
        topics = {
            event_type: {
                "topic": self.prefix + event_type,
                "topic_id": state.topic_id,
                "next": {str(partition): offset for partition, offset in sorted(state.next.items())},
                **asdict(state.counts),
            }
            for event_type, state in self.topics.items()
        }
        document = {
            "version": VERSION,
            "format": self.form,
            "topic_prefix": self.prefix,
            "from": iso(self.window.begin_ms),
            "to": iso(self.window.end_ms),
            "rejected_bytes": self.rejected_bytes,
            "topics": topics,
        }
        return json.dumps(document, indent=1) + "\n"


def load(path: Path) -> Manifest:
    """Read a manifest. Raises Failure for a file that no release up to this one has written."""
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        if document["version"] != VERSION:
            raise Failure(f"{path} is of version {document['version']}, which this release does not know")
        return Manifest(
            document["format"],
            document["topic_prefix"],
            Window(_ms(document["from"]), _ms(document["to"])),
            document["rejected_bytes"],
            {name: _state(state) for name, state in document["topics"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failure(f"{path} is no manifest of `payments replay`: name another folder") from error


def _state(document: Mapping[str, Any]) -> TopicState:
    counts = Counts(document["events"], document["repeated"], document["rejected"])
    return TopicState(document["topic_id"], {int(p): int(at) for p, at in document["next"].items()}, counts)


def iso(milliseconds: int | None) -> str | None:
    """Format milliseconds since 1970 as ISO 8601 in UTC; None stays None."""
    if milliseconds is None:
        return None
    at = _EPOCH + timedelta(milliseconds=milliseconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ms(text: str | None) -> int | None:
    return None if text is None else (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
