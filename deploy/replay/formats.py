"""The form of the files: what Parquet and JSON lines have in common."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, Protocol

from deploy.failures import WRONG_USAGE, Failure
from deploy.replay.decoding import Row
from deploy.replay.topics import Message

FORMATS: Final = ("parquet", "jsonl")
DAY_US: Final = 86_400_000_000


class Stretch(NamedTuple):
    """Events of one partition, in order of their offsets. data: in the format's own form, with a length.

    The others are by event. ids: in the form in which the format compares them. hashes: of the bodies. days: since
    1970, UTC.
    """

    data: Any
    offsets: Sequence[int]
    ids: Sequence[bytes]
    hashes: Sequence[int]
    days: Sequence[int]


class Singly(NamedTuple):
    """Reads messages one by one. row: returns one as a row, or None if it was rejected. unfit: rejects a row."""

    row: Callable[[Message], Row | None]
    unfit: Callable[[Row], None]


class Known(Protocol):
    """Finds events in the files of a folder, for one run."""

    def find(self, event_type: str, day: int, paths: Sequence[Path], ids: Mapping[bytes, int]) -> Mapping[bytes, int]:
        """Return those of the ids that stand in the files of this day, each with its body's hash. paths: the files."""
        ...

    def add(self, event_type: str, day: int, ids: Mapping[bytes, int]) -> None:
        """Note ids, each with its body's hash, that were committed after `find` was asked for this day."""
        ...

    def close(self) -> None:
        """Remove what was noted."""
        ...


class Format(Protocol):
    """Reads messages, holds them in memory and writes them."""

    suffix: str

    def read(self, event_type: str, partition: int, messages: Sequence[Message], singly: Singly) -> Stretch:
        """Read messages of a partition. Those that are rejected are left out."""
        ...

    def take(self, data: Any, places: Sequence[int]) -> Any:
        """Return the data of the events at these places."""
        ...

    def without(self, data: Any, ids: Collection[bytes]) -> tuple[Any, Any]:
        """Return the data without the events of these ids, and the data of these."""
        ...

    def rows(self, data: Any) -> list[tuple[bytes, Row]]:
        """Return the events as rows, each with its id."""
        ...

    def size(self, data: Any) -> int:
        """Return how many bytes of memory it takes."""
        ...

    def write(self, file: BinaryIO, event_type: str, pieces: Sequence[Any]) -> int:
        """Write these data as one file. Return the number of rows."""
        ...

    def known(self, scratch: Path) -> Known:
        """Return what finds events in the files of this format. scratch: a folder for what it notes."""
        ...


def format_of(name: str) -> Format:
    """Return the format of this name. Raises Failure that says what to install."""
    if name == "jsonl":
        from deploy.replay.json_lines import JsonLines  # noqa: PLC0415 - only one of the two is needed

        return JsonLines()
    try:
        from deploy.replay.parquet import Parquet  # noqa: PLC0415 - what it imports is an extra
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in {"numpy", "pyarrow"}:
            raise
        raise Failure(
            f"Parquet needs {missing}, which the extra `replay` brings: pip install 'payments[replay]', "
            "or ask for --format jsonl, which needs nothing",
            WRONG_USAGE,
        ) from error
    return Parquet()


def as_line(document: Mapping[str, Any]) -> str:
    """Return a JSON line, in ASCII."""
    return json.dumps(document) + "\n"
