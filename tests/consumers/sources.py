"""A source that holds exactly what a test puts in: the same batches every time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from consumers.runtime.engine import Engine
from domain.ports.source import Message, Stretch
from domain.reaction import Reaction
from schemas.events import Event
from tests.consumers.harness import WAIT_S, Pipeline


class ListSource:
    """domain.ports.source.Source over a list. commits: how often offsets were committed."""

    def __init__(self, messages: Sequence[Message], batch: int) -> None:
        self._left = list(messages)
        self._batch = batch
        self._taken = 0
        self.commits = 0
        self.empty = asyncio.Event()

    @property
    def topic_id(self) -> str:
        """Be of no topic."""
        return ""

    async def start(self) -> None:
        """Be there."""

    async def take(self, limit: int, wait_s: float) -> Sequence[Message]:
        """Return the next batch."""
        if not self._left:
            self.empty.set()
            await asyncio.sleep(wait_s)
            return ()
        size = min(limit, self._batch)
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def commit_soon(self, messages: Sequence[Message]) -> None:
        """Count."""
        self.commits += 1

    def begun(self, partition: int) -> int:
        """Never begin anew."""
        return 0

    def keep_back(self, first: Mapping[int, int]) -> None:
        """Have nothing that waits."""
        raise AssertionError(first)

    def hold(self, message: Message, seconds: float) -> None:
        """Have nothing that cannot be read."""
        raise AssertionError(message)

    def has_begun_anew(self) -> bool:
        """Have one topic all along."""
        return False

    def blocked(self) -> Sequence[Stretch]:
        """Have nothing that cannot be read."""
        return ()

    async def pass_over(self, stretch: Stretch, last: int) -> None:
        """Have nothing that cannot be read."""
        raise AssertionError(stretch)

    @asynccontextmanager
    async def processing(self) -> AsyncIterator[None]:
        """Hold on to nothing."""
        yield

    async def close(self) -> None:
        """Leave."""


async def consume(engine: Engine, reaction: Reaction, source: ListSource) -> None:
    """Have an engine consume all that the source holds, and drain."""
    stop = asyncio.Event()
    make: Callable[[Reaction], ListSource] = lambda _: source  # noqa: E731 - what an engine asks for
    running = asyncio.ensure_future(engine.run(stop, [reaction], make, sweep=False))
    empty = asyncio.ensure_future(source.empty.wait())
    await asyncio.wait({running, empty}, timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
    empty.cancel()
    stop.set()
    await running


async def journal(pipeline: Pipeline, reaction: Reaction) -> list[Message]:
    """Return what the outbox would send to this reaction, as messages."""
    topic = pipeline.settings.topic_prefix + reaction.trigger.TYPE
    rows = await pipeline.rows(
        "SELECT id, convert_to(order_id, 'UTF8'), body FROM event WHERE topic = %s ORDER BY id", topic
    )
    return [Message(topic, 0, row_id, key, body, (), 0) for row_id, key, body in rows]


def message_of(pipeline: Pipeline, event: Event, offset: int) -> Message:
    """Return this event as a message at an offset of its topic."""
    topic = pipeline.settings.topic_prefix + event.TYPE
    return Message(topic, 0, offset, event.subject.encode(), pipeline.codec.encode(event), (), 0)
