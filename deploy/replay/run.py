"""One run of a replay: from where the folder stands to the topics' ends of now."""

import asyncio
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from deploy.contracts import frames_of
from deploy.failures import Failure
from deploy.replay.chunk import Chunk
from deploy.replay.decoding import RowReader
from deploy.replay.dictionary import dictionary
from deploy.replay.folder import REJECTED, Folder, open_folder
from deploy.replay.formats import Known, format_of
from deploy.replay.manifest import Counts, Window, iso
from deploy.replay.topics import Lost, Read, TopicReader, open_topics
from deploy.replay.views import views
from deploy.settings import Settings
from schemas.models import EVENTS

DICTIONARY: Final = "dictionary.md"
VIEWS: Final = "views.sql"
ALL_TOPICS: Final = "all"
CONTAINERS: Final = 50_000
"""More dicts and lists than the rows have that are decoded at a time."""

Progress = Callable[[str], None]


class Wish(NamedTuple):
    """What is asked for. form: parquet or jsonl."""

    event_types: Sequence[str]
    out: Path
    form: str
    window: Window


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did, by event type; files: how many it made. rejected: of this run."""

    wish: Wish
    counts: Mapping[str, Counts]
    messages: Mapping[str, int]
    files: int

    def as_json(self) -> dict[str, Any]:
        """Return the document of --json."""
        total = sum(self.counts.values(), Counts())
        return {
            "out": str(self.wish.out),
            "format": self.wish.form,
            "from": iso(self.wish.window.begin_ms),
            "to": iso(self.wish.window.end_ms),
            "messages": sum(self.messages.values()),
            "events": total.events,
            "repeated": total.repeated,
            "rejected": total.rejected,
            "files": self.files,
            "topics": {
                event_type: {
                    "messages": self.messages[event_type],
                    "events": counts.events,
                    "repeated": counts.repeated,
                    "rejected": counts.rejected,
                }
                for event_type, counts in self.counts.items()
            },
        }

    def lines(self) -> list[str]:
        """Return the result for people."""
        total = sum(self.counts.values(), Counts())
        shown = [f"{name}: {_counted(counts.events, 'event')}" for name, counts in self.counts.items() if counts.events]
        told = f"{_counted(total.events, 'event')} in {_counted(self.files, 'file')} in {self.wish.out}"
        if total.repeated:
            told += f"; {_counted(total.repeated, 'message')} came again"
        if total.rejected:
            told += f"; {total.rejected:,} rejected: see {self.wish.out / REJECTED}"
        return [*shown, told]


async def replay_topics(settings: Settings, wish: Wish, progress: Progress) -> Summary:
    """Read these topics on into the folder. Raises Failure that says what to do; what was committed stays."""
    form = format_of(wish.form)
    with (
        _seldom_collecting(),
        open_folder(wish.out, wish.form, settings.topic_prefix, wish.window) as folder,
        closing(form.known(folder.scratch)) as known,
    ):
        folder.place(DICTIONARY, dictionary(wish.form))
        folder.place(VIEWS, views(folder.has_files, wish.out.resolve(), wish.form))
        before = dict(folder.manifest.topics)
        work = _Work(folder, known, lambda: Chunk(form, RowReader(frames_of(settings)), wish.window), progress)
        try:
            async with open_topics(settings) as topics:
                for event_type in wish.event_types:
                    async with topics.topic(event_type) as reader:
                        await work.read(event_type, reader, wish.window)
            await work.commit()
        finally:
            # The folder stays locked until its last commit has ended.
            await work.settle()
        folder.place(VIEWS, views(folder.has_files, wish.out.resolve(), wish.form))
    counts = {}
    for event_type in wish.event_types:
        after, earlier = folder.manifest.topics.get(event_type), before.get(event_type)
        counts[event_type] = (after.counts if after else Counts()) - (earlier.counts if earlier else Counts())
    return Summary(wish, counts, work.messages, work.files)


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Look for cycles seldom meanwhile. Rows have none, and looking among them would take a third of the time."""
    before = gc.get_threshold()
    gc.set_threshold(CONTAINERS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Work:
    """Reads topics into chunks, and commits those that are full."""

    def __init__(self, folder: Folder, known: Known, make_chunk: Callable[[], Chunk], progress: Progress) -> None:
        self._folder = folder
        self._known = known
        self._make_chunk = make_chunk
        self._progress = progress
        self._chunk = make_chunk()
        self.messages: dict[str, int] = {}
        self.files = 0
        self._committing: asyncio.Task[int] | None = None

    async def read(self, event_type: str, reader: TopicReader, window: Window) -> None:
        """Read a topic's partitions, one after the other."""
        self._check_same(event_type, reader)
        begin = {} if window.begin_ms is None else await reader.first_since(window.begin_ms)
        starts = {n: self._start(event_type, n, reader, begin.get(n, 0)) for n in reader.bounds}
        todo = sum(max(reader.bounds[n].end - start, 0) for n, start in starts.items())
        self.messages[event_type] = 0
        for partition, start in starts.items():
            first = reader.bounds[partition].first
            if start < first:
                lost = Lost(start, first - 1, "the messages were deleted before they were read")
                await self._add(Read(event_type, reader.topic_id, partition, (), first, lost))
            async for read in reader.read(partition, max(start, first)):
                await self._add(read)
                self._progress(f"{event_type}: {self.messages[event_type]:,} of {todo:,} messages")

    async def commit(self) -> None:
        """Begin to put what was read into the folder, when the last commit has ended. It runs beside the reading."""
        await self.settle()
        chunk, self._chunk = self._chunk, self._make_chunk()
        self._committing = asyncio.create_task(asyncio.to_thread(chunk.commit, self._folder, self._known))

    async def settle(self) -> None:
        """Wait for the commit that runs. Raises its error."""
        committing, self._committing = self._committing, None
        if committing is not None:
            self.files += await committing

    async def _add(self, read: Read) -> None:
        self._chunk.add(read)
        self.messages[read.event_type] += len(read.messages)
        if self._chunk.full:
            await self.commit()

    def _start(self, event_type: str, partition: int, reader: TopicReader, begin: int) -> int:
        """Return the offset to go on with. Raises Failure if the partition ends before it."""
        first, end = reader.bounds[partition]
        reached = self._folder.manifest.next_offset(event_type, partition)
        if reached is None:
            return max(first, begin)
        if reached > end:
            raise Failure(
                f"{event_type}[{partition}] ends at offset {end}, and {reached} messages of it were read before: "
                "it is another topic by now, or lost messages; name another folder"
            )
        return reached

    def _check_same(self, event_type: str, reader: TopicReader) -> None:
        known = self._folder.manifest.topics.get(event_type)
        if known is not None and known.topic_id != reader.topic_id and "" not in {known.topic_id, reader.topic_id}:
            raise Failure(f"the topic of {event_type} was made anew since the last run: name another folder")


def _counted(number: int, one: str) -> str:
    return f"{number:,} {one if number == 1 else f'{one}s'}"


def check_names(names: Sequence[str], prefix: str) -> list[str]:
    """Return the event types of these topics, each once. `all`: all of them. Raises Failure for an unknown one."""
    found = [name if name in {*EVENTS, ALL_TOPICS} else name.removeprefix(prefix) for name in names]
    for name, event_type in zip(names, found, strict=True):
        if event_type not in {*EVENTS, ALL_TOPICS}:
            raise Failure(f"there is no event {name}; there are {', '.join(EVENTS)}, and `{ALL_TOPICS}`", 2)
    return list(EVENTS) if ALL_TOPICS in found else list(dict.fromkeys(found))
