"""Writes files atomically; locks that let one process at a time own a directory."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_whole(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file atomically: a reader sees the old one or the new one. By default only we may read it."""
    _stage(path, text, mode).replace(path)


def write_pair(first: Path, first_text: str, second: Path, second_text: str, *, second_mode: int) -> None:
    """Write two files atomically, the first one first: whoever sees the second also sees the first.

    Only we may read the first.
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
    """Read a JSON object. An absent or unreadable file gives an empty one: ours can all be made again."""
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
    """Wait for the lock file, and hold it while inside. The system frees it when its holder ends, even by SIGKILL."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def try_lock(path: Path) -> int | None:
    """Take the lock file, or return None if another process has it. Closing the descriptor frees it.

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
