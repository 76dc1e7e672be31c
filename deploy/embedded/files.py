"""Files that are whole or absent, and the lock that lets one process at a time own a directory."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_whole(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Put the text at path so that a reader sees the old file or the new one, never a part; readable by us only."""
    _stage(path, text, mode).replace(path)


def write_pair(first: Path, first_text: str, second: Path, second_text: str, *, second_mode: int) -> None:
    """Put two files in place one right after the other: whoever sees the second also sees the first.

    The first is readable by us only.
    """
    staged = _stage(first, first_text, 0o600), _stage(second, second_text, second_mode)
    staged[0].replace(first)
    staged[1].replace(second)


def _stage(path: Path, text: str, mode: int) -> Path:
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return new


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; an absent or unreadable file is an empty one, for all of ours can be made anew."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def last_lines(path: Path, bytes_max: int = 2000) -> str:
    """Read the end of a log, at most bytes_max bytes; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - bytes_max))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file, waiting for whoever has it. The system drops it with its holder, SIGKILL included."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def try_lock(path: Path) -> int | None:
    """Take the lock file at once, or return None if another process has it. Closing the descriptor lets it go.

    The holder's pid is in the file, for messages only.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
