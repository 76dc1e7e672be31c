"""Events as topics carry them, put into a folder by the product's own chunk, without Kafka."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from deploy.replay.chunk import Chunk
from deploy.replay.decoding import RowReader
from deploy.replay.folder import open_folder
from deploy.replay.formats import format_of
from deploy.replay.manifest import ALL, Window
from deploy.replay.topics import Read
from deploy.replay.views import views
from schemas.codec import Codec
from schemas.events import Event
from schemas.framing import FrameReader

TIMESTAMP_MS = 1_772_366_400_000


class Given(NamedTuple):
    """A message."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def encoded(events: Iterable[Event]) -> list[tuple[str, bytes]]:
    codec = Codec()
    return [(event.TYPE, codec.encode(event)) for event in events]


def stretches(messages: Sequence[tuple[str, bytes | None]], begin: int = 0, topic_id: str = "one") -> list[Read]:
    """Deal messages to partition 0 of their topics, from this offset on."""
    by_type: dict[str, list[bytes | None]] = {}
    for event_type, value in messages:
        by_type.setdefault(event_type, []).append(value)
    return [
        Read(
            event_type,
            topic_id,
            0,
            [Given(begin + n, TIMESTAMP_MS + n, b"key", value) for n, value in enumerate(values)],
            begin + len(values),
        )
        for event_type, values in by_type.items()
    ]


def chunk_of(form: str, reads: Iterable[Read], window: Window = ALL) -> Chunk:
    chunk = Chunk(format_of(form), RowReader(FrameReader(None, "", 1 << 30)), window)
    for read in reads:
        chunk.add(read)
    return chunk


def put(out: Path, form: str, *reads: Read, window: Window = ALL) -> None:
    """Commit what was read, as one run does with one chunk."""
    put_chunks(out, form, reads, window=window)


def put_chunks(out: Path, form: str, *chunks: Iterable[Read], window: Window = ALL) -> None:
    """Commit chunks, as one run does, one after the other."""
    with open_folder(out, form, "", window) as folder:
        with closing(format_of(form).known(folder.scratch)) as known:
            for reads in chunks:
                chunk_of(form, reads, window).commit(folder, known)
        folder.place("views.sql", views(folder.has_files, out, form))
