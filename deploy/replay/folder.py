"""The folder of the files. At any moment it has whole files only, and a crash costs what was not committed.

A commit writes its files in `.tmp`, renames them into place, and renames the manifest last. The next run removes what
a crash left: `.tmp`, and files whose offsets the manifest has not reached.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from deploy.failures import Failure
from deploy.replay.formats import as_line
from deploy.replay.manifest import ALL, NAME, Manifest, Window, iso, load

TEMPORARY: Final = ".tmp"
LOCK: Final = ".lock"
REJECTED: Final = "rejected.jsonl"
TOPIC: Final = "topic="
DAY: Final = "day="
_FILE: Final = re.compile(r"(\d+)-(\d+)-(\d+)\.(?:parquet|jsonl)")
_EPOCH: Final = date(1970, 1, 1)


class NewFile(NamedTuple):
    """A file to commit. day: since 1970, UTC. first, last: offsets. write: writes it."""

    event_type: str
    day: int
    partition: int
    first: int
    last: int
    write: Callable[[BinaryIO], object]


class Folder:
    """A locked folder. Only `commit` changes what readers see. scratch: for what a run needs and leaves behind."""

    def __init__(self, path: Path, state: Manifest, suffix: str) -> None:
        self._path = path
        self._suffix = suffix
        self.scratch = path / TEMPORARY
        self.manifest = state

    def files(self, event_type: str, day: int) -> list[Path]:
        """Return the files of a day."""
        return sorted(self._day(event_type, day).glob(f"*.{self._suffix}"))

    def has_files(self, event_type: str) -> bool:
        """Whether there is any file of the event."""
        return any((self._path / f"{TOPIC}{event_type}").glob(f"{DAY}*/*.{self._suffix}"))

    def commit(self, files: Sequence[NewFile], rejected: Sequence[Mapping[str, Any]], state: Manifest) -> None:
        """Add these files and rejected messages, and note this state. A crash in between changes nothing for good.

        Raises Failure if the file system refuses it.
        """
        with self.writing():
            self._commit(files, rejected, state)

    def writing(self) -> AbstractContextManager[None]:
        """Turn an error of the file system into Failure."""
        return _writing(self._path)

    def _commit(self, files: Sequence[NewFile], rejected: Sequence[Mapping[str, Any]], state: Manifest) -> None:
        temporary = self._path / TEMPORARY
        temporary.mkdir(exist_ok=True)
        renames = []
        for number, file in enumerate(files):
            written = temporary / str(number)
            _write(written, file.write)
            name = f"{file.partition}-{file.first}-{file.last}.{self._suffix}"
            renames.append((written, self._day(file.event_type, file.day) / name))
        folders = {self._path}
        for written, place in renames:
            place.parent.mkdir(parents=True, exist_ok=True)
            written.replace(place)
            folders |= {place.parent, place.parent.parent}
        for folder in folders:
            _sync(folder)
        if rejected:
            state = replace(state, rejected_bytes=self._add_rejected(rejected))
        self.place(NAME, state.as_text())
        self.manifest = state

    def place(self, name: str, text: str) -> None:
        """Write a file of the folder whole, and rename it into place."""
        temporary = self._path / TEMPORARY
        temporary.mkdir(exist_ok=True)
        _write(temporary / name, lambda file: file.write(text.encode()))
        (temporary / name).replace(self._path / name)
        _sync(self._path)

    def _add_rejected(self, rejected: Sequence[Mapping[str, Any]]) -> int:
        """Copy the lines that were committed, add these, and rename. Return the new length in bytes."""
        written, place = self._path / TEMPORARY / REJECTED, self._path / REJECTED

        def write(file: BinaryIO) -> None:
            if place.exists():
                with place.open("rb") as before:
                    shutil.copyfileobj(before, file)
            file.writelines(as_line(line).encode() for line in rejected)

        _write(written, write)
        written.replace(place)
        return place.stat().st_size

    def _day(self, event_type: str, day: int) -> Path:
        return self._path / f"{TOPIC}{event_type}" / f"{DAY}{(_EPOCH + timedelta(days=day)).isoformat()}"


@contextmanager
def open_folder(path: Path, form: str, prefix: str, window: Window) -> Iterator[Folder]:
    """Make or open the folder, lock it, and remove what a crash left.

    form: the files' format, also their suffix. Raises Failure if another run has it, if it has something else, or was
    begun with another format, prefix or window.
    """
    with _writing(path):
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with _writing(path):
            _lock(lock, path)
            folder = _opened(path, form, prefix, window)
        yield folder
    finally:
        os.close(lock)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn an error of the file system into what to do."""
    try:
        yield
    except OSError as error:
        raise Failure(f"cannot write to {path} ({error.strerror}): make room or grant it, and run it again") from error


def _lock(lock: int, path: Path) -> None:
    """Lock until the descriptor is closed, or the process ends. The holder's pid is in the file, for messages only."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as taken:
        pid = os.read(lock, 20).decode().strip()
        raise Failure(
            f"another replay writes to {path} (process {pid}): wait for its end, or name another folder"
        ) from taken
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())


def _opened(path: Path, form: str, prefix: str, window: Window) -> Folder:
    place = path / NAME
    if not place.exists():
        others = sorted(entry.name for entry in path.iterdir() if entry.name not in {LOCK, TEMPORARY})
        if others:
            raise Failure(
                f"{path} has {others[0]} and no {NAME}: name a new or empty folder"
                + (f", or put its {NAME} back" if others[0].startswith((TOPIC, REJECTED)) else "")
            )
        folder = Folder(path, Manifest(form, prefix, window), form)
        # Before any data: from now on files without a manifest are not ours to remove.
        folder.place(NAME, folder.manifest.as_text())
        return folder
    state = load(place)
    if not state.topics:
        # Nothing was read yet: a first run may have asked for topics that are not there.
        state = replace(state, prefix=prefix)
    _check_same(path, state, form, prefix, window)
    _clean(path, state)
    return Folder(path, state, form)


def _check_same(path: Path, state: Manifest, form: str, prefix: str, window: Window) -> None:
    if state.form != form:
        raise Failure(f"{path} has {state.form}: say --format {state.form}, or name another folder")
    if state.prefix != prefix:
        raise Failure(f"{path} has topics with the prefix {state.prefix!r}, not {prefix!r}: name another folder")
    if state.window == window:
        return
    if state.window == ALL:
        raise Failure(f"{path} takes all messages, run after run: leave out --from and --to, or name another folder")
    had = f"--from {iso(state.window.begin_ms) or '...'} --to {iso(state.window.end_ms) or '...'}"
    raise Failure(f"{path} was begun with {had}: say the same, or name another folder")


def _clean(path: Path, state: Manifest) -> None:
    """Remove what was written after the last commit."""
    shutil.rmtree(path / TEMPORARY, ignore_errors=True)
    for file in path.glob(f"{TOPIC}*/{DAY}*/*"):
        named = _FILE.fullmatch(file.name)
        if named is None:
            continue
        reached = state.next_offset(file.parent.parent.name.removeprefix(TOPIC), int(named[1]))
        if reached is None or int(named[3]) >= reached:
            file.unlink()
    rejected = path / REJECTED
    if rejected.exists() and rejected.stat().st_size > state.rejected_bytes:
        os.truncate(rejected, state.rejected_bytes)


def _write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file and wait until it is on disk."""
    with path.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Wait until the names in a folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
