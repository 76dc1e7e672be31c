"""Reading of a single partition, slowly and surely: every record that can be read, and what keeps the next from it."""

from typing import Final, NamedTuple

from aiokafka.errors import OffsetOutOfRangeError

from consumers.adapters.kafka.records import Fault, Record, first_batch, read_contents
from consumers.adapters.kafka.wire import Wire
from domain.errors import Transient

FETCH_BYTES: Final = 1 << 20
ONE_BATCH: Final = 1
"""A broker sends at least one whole batch, however few bytes are asked for."""
SEARCH_MAX: Final = 2_000
"""Offsets behind a broken batch at which the next good one is looked for: about a second's work."""
JOINED_MAX: Final = 1_000
"""Bad batches in a row that are told as one stretch."""


class Look(NamedTuple):
    """What was found at an offset. next: the offset to go on with. end: the offset behind the last message.

    gone: the offset lies outside the partition.
    """

    records: list[Record]
    next: int
    end: int
    fault: Fault | None = None
    gone: bool = False


class CarefulReader:
    """Reads partitions of one topic. Raises Transient when no broker answers."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def read(self, partition: int, offset: int, limit: int) -> Look:
        """Read at most so many records from this offset on, up to the first fault."""
        fetched = await self._wire.fetch(partition, offset, FETCH_BYTES)
        if fetched.error == OffsetOutOfRangeError.__name__:
            return Look([], offset, offset, gone=True)
        if fetched.error is not None and fetched.retriable:
            raise Transient(f"Kafka does not answer: {fetched.error}")
        if fetched.error is not None:
            return Look([], offset, offset, Fault(offset, None, f"the broker answers {fetched.error}"))
        if not fetched.raw and offset < fetched.end:
            return Look(
                [], offset, fetched.end, Fault(offset, None, "the broker sends nothing, though messages lie there")
            )
        found = read_contents(fetched.raw, offset, fetched.end, fetched.aborted, limit, whole=fetched.whole)
        return Look(found.records, found.next, fetched.end, found.fault)

    async def last_of(self, partition: int, fault: Fault) -> int | None:
        """Find the last offset that cannot be read, over bad batches in a row; None if the stretch has no end yet."""
        last = fault.last
        if last is None:
            last = await self._search(partition, fault.first)
        for _ in range(JOINED_MAX):
            if last is None:
                return None
            look = await self.read(partition, last + 1, 1)
            if look.records or look.fault is None or look.gone:
                break
            last = look.fault.last if look.fault.last is not None else await self._search(partition, last + 1)
        return last

    async def _search(self, partition: int, first: int) -> int | None:
        """Look for a good batch at one offset after the other: a batch whose length is wrong hides those behind it."""
        end: int | None = None
        for offset in range(first + 1, first + SEARCH_MAX):
            if end is not None and offset >= end:
                return None
            fetched = await self._wire.fetch(partition, offset, ONE_BATCH)
            if fetched.error is None:
                end = fetched.end
            elif fetched.error == OffsetOutOfRangeError.__name__:
                return None
            found = first_batch(fetched.raw)
            if found is not None and found[1] >= offset:
                return max(found[0], offset) - 1
        return None
