"""The ids of a folder's Parquet files, kept on disk for one run, so that a commit does not read the files again.

The files of a day are read once, when the day's first events come. Of 24 bytes for each event, 8 are read at a commit
of its day; memory does not grow with the events.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from deploy.failures import Failure
from deploy.replay.columns import BODY_HASH, EVENT_ID
from deploy.replay.uuids import SIZE, ids_of, packed, texts_in

_SLOT_BITS: Final = 20
"""A commit has some ten thousand ids of a day: one id of a hundred others is in a slot of theirs by chance."""
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
"""Spreads halves that differ in their last bits only, over the first bits."""
_WORD: Final = 8
_IDS: Final = pa.schema([(EVENT_ID, pa.string()), (BODY_HASH, pa.int64())])

_Words = NDArray[np.uint64]


class _Block(NamedTuple):
    """Ids that were noted together: at this place of the file all first halves, all second ones, all hashes."""

    place: int
    size: int


class KnownIds:
    """deploy.replay.formats.Known, for ids of 16 bytes. The file has no name: the process's end removes it."""

    def __init__(self, scratch: Path) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - it lives as long as this
        self._end = 0
        self._blocks: dict[tuple[str, int], list[_Block]] = {}

    def find(self, event_type: str, day: int, paths: Sequence[Path], ids: Mapping[bytes, int]) -> Mapping[bytes, int]:
        """As Known.find. The files are read if the day is new to this run."""
        if (event_type, day) not in self._blocks:
            self._blocks[event_type, day] = []
            for path in paths:
                self._note(event_type, day, *_read(path))
        if not ids:
            return {}
        asked = _halves(ids)[:, 0]
        slots = np.zeros(1 << _SLOT_BITS, np.bool_)
        slots[_slot(asked)] = True
        found: dict[bytes, int] = {}
        for block in self._blocks[event_type, day]:
            firsts = self._words(block, 0)
            likely = np.flatnonzero(slots[_slot(firsts)])
            likely = likely[np.isin(firsts[likely], asked)]
            if likely.size:
                found |= self._among(block, firsts, likely, ids)
        return found

    def add(self, event_type: str, day: int, ids: Mapping[bytes, int]) -> None:
        """As Known.add."""
        hashes = np.fromiter(ids.values(), np.int64, len(ids))
        self._note(event_type, day, _halves(ids), hashes.view(np.uint64))

    def close(self) -> None:
        """As Known.close."""
        self._file.close()

    def _note(self, event_type: str, day: int, halves: _Words, hashes: _Words) -> None:
        if not len(hashes):
            return
        data = np.concatenate((halves[:, 0], halves[:, 1], hashes)).tobytes()
        self._file.seek(self._end)
        self._file.write(data)
        self._file.flush()
        self._blocks[event_type, day].append(_Block(self._end, len(hashes)))
        self._end += len(data)

    def _words(self, block: _Block, number: int) -> _Words:
        size = block.size * _WORD
        return np.frombuffer(os.pread(self._file.fileno(), size, block.place + number * size), np.uint64)

    def _among(
        self, block: _Block, firsts: _Words, places: NDArray[Any], ids: Mapping[bytes, int]
    ) -> Iterator[tuple[bytes, int]]:
        """Yield those of the ids that stand at these places of a block, with their hashes."""
        halves = np.column_stack((firsts[places], self._words(block, 1)[places]))
        hashes = self._words(block, 2)[places].view(np.int64)
        for event_id, hashed in zip(ids_of(halves.view(np.uint8)), hashes.tolist(), strict=True):
            if event_id in ids:
                yield event_id, hashed


def _slot(halves: _Words) -> _Words:
    return (halves * _MIX) >> np.uint64(64 - _SLOT_BITS)


def _halves(ids: Mapping[bytes, int]) -> _Words:
    return np.frombuffer(b"".join(ids), np.uint64).reshape(-1, 2)


def _read(path: Path) -> tuple[_Words, _Words]:
    """Read the ids and hashes of a file. pq.read_table would do the same; it takes twice as long.

    Raises Failure if another program wrote something else there.
    """
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=[EVENT_ID, BODY_HASH], use_threads=False)
        # Who joins small files with polars makes large strings of the ids.
        ids, hashes = (column.combine_chunks() for column in table.cast(_IDS).columns)
    except (pa.ArrowInvalid, ValueError):
        raise _not_ours(path) from None
    if ids.null_count or hashes.null_count or not pc.all(pc.equal(pc.binary_length(ids), SIZE), min_count=0).as_py():
        raise _not_ours(path)
    halves, right = packed(texts_in(ids))
    if not right.all():
        raise _not_ours(path)
    return halves.view(np.uint64), hashes.to_numpy().view(np.uint64)


def _not_ours(path: Path) -> Failure:
    return Failure(f"{path} has other ids or hashes than this command writes: take it away, or name another folder")
