"""The form of the files: what Parquet and JSON lines have in common."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from deploy.failures import WRONG_USAGE, Failure
from deploy.replay.decoding import Row

FORMATS: Final = ("parquet", "jsonl")


class Format(Protocol):
    """Holds rows in memory, writes them, and finds ids in files. A batch is the format's own: only it looks inside."""

    suffix: str

    def batch(self, event_type: str, rows: Sequence[Row]) -> tuple[Any, int]:
        """Return a batch of these rows, and how many bytes of memory it takes.

        Raises Unfit if a value does not fit its column.
        """
        ...

    def without(self, batch: Any, ids: frozenset[str]) -> tuple[Any, list[Row]]:
        """Return the batch without the rows of these event ids, and those rows."""
        ...

    def write(self, file: BinaryIO, event_type: str, batches: Sequence[Any]) -> int:
        """Write these batches as one file. Return the number of rows."""
        ...

    def find(self, paths: Sequence[Path], ids: Mapping[str, object]) -> dict[str, int]:
        """Return those of the ids that stand in these files of one event, each with its body's hash."""
        ...


class Unfit(ValueError):  # noqa: N818 - a verdict about a value, no fault of ours
    """A value does not fit its column."""


def format_of(name: str) -> Format:
    """Return the format of this name. Raises Failure that says what to install."""
    if name == "jsonl":
        from deploy.replay.json_lines import JsonLines  # noqa: PLC0415 - only one of the two is needed

        return JsonLines()
    try:
        from deploy.replay.parquet import Parquet  # noqa: PLC0415 - pyarrow is an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise Failure(
            "Parquet needs pyarrow, which the extra `replay` brings: pip install 'payments[replay]', "
            "or ask for --format jsonl, which needs nothing",
            WRONG_USAGE,
        ) from error
    return Parquet()


def as_line(document: Mapping[str, Any]) -> str:
    """Return a JSON line, in ASCII."""
    return json.dumps(document) + "\n"
