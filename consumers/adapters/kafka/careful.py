"""Reads a single partition over the wire: every record that can be read, and the fault that stops at the next one."""

from typing import Final, NamedTuple

from aiokafka.errors import OffsetOutOfRangeError

from consumers.adapters.kafka.batches import Record
from consumers.adapters.kafka.records import Fault, find_good, first_batch, read_contents
from consumers.adapters.kafka.wire import Fetched, Wire
from domain.errors import Transient

FETCH_BYTES: Final = 1 << 20
ONE_BATCH: Final = 1
"""A broker sends at least one whole batch, however few bytes we ask for."""
WALKED_BYTES: Final = (2 << 20, 8 << 20, 32 << 20)
"""We fetch these sizes one after the other, until one holds the bad batches and the good one behind them."""
SEARCH_MAX: Final = 2_000
"""Offsets behind a bad batch that we try one by one, in about a second. Then each step is twice as long."""
STEPS_MAX: Final = 200
"""Steps after that: enough to go over more offsets than a partition has, and back."""
SEARCH_BYTES_MAX: Final = 64 << 20
"""Bytes that one search may fetch: a batch of wrong length may bring the rest of its segment each time."""
TRIED_MAX: Final = 20_000
TRIED_BYTES_MAX: Final = 1 << 30
"""The most offsets, and bytes, that an operator's command tries one by one."""
JOINED_MAX: Final = 1_000
"""The most bad batches in a row that become one stretch."""
NOT_OF_THE_DATA: Final = frozenset(
    {"TopicAuthorizationFailedError", "ClusterAuthorizationFailedError", "KafkaStorageError"}
)
"""After these errors there may be good messages: they are not unreadable."""


class Look(NamedTuple):
    """What we found at an offset.

    next: the offset to go on with. end: the offset behind the last message. gone: the offset lies outside of the
    partition.
    """

    records: list[Record]
    next: int
    end: int
    fault: Fault | None = None
    gone: bool = False


class End(NamedTuple):
    """Where a stretch ends. last: its last offset; None: not found. sure: we know that no message in it can be read."""

    last: int | None
    sure: bool


class TooMuchToTry(Exception):  # noqa: N818 - an answer, not a fault of ours
    """There are too many offsets to try, or too many bytes to fetch."""


class CarefulReader:
    """Reads partitions of one topic. Raises Transient when no broker answers, or the broker forbids us to read."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def read(self, partition: int, offset: int, limit: int) -> Look:
        """Read at most `limit` records from this offset on, up to the first fault.

        No more than READ_BYTES_MAX and one record come at a time, however many are packed in what is fetched.
        """
        fetched = await self._fetch(partition, offset, FETCH_BYTES)
        if fetched.error == OffsetOutOfRangeError.__name__:
            return Look([], offset, offset, gone=True)
        if fetched.error is not None and fetched.retriable:
            raise Transient(f"Kafka does not answer: {fetched.error}")
        if fetched.error is not None:
            return Look([], offset, offset, Fault(offset, None, f"the broker answers {fetched.error}"))
        if not fetched.raw and offset < fetched.end:
            fault = Fault(offset, None, "the broker sends nothing, although there are messages")
            return Look([], offset, fetched.end, fault)
        found = read_contents(fetched.raw, offset, fetched.end, fetched.aborted, limit, whole=fetched.whole)
        return Look(found.records, found.next, fetched.end, found.fault)

    async def end_of(self, partition: int, fault: Fault) -> End:
        """Find where the stretch ends that begins with this fault. Bad batches in a row are one stretch."""
        end = await self._search(partition, fault.first, fault)
        for _ in range(JOINED_MAX):
            if end.last is None:
                break
            look = await self.read(partition, end.last + 1, 1)
            if look.records or look.fault is None or look.gone:
                break
            further = await self._search(partition, end.last + 1, look.fault)
            if further.last is None:
                break
            end = End(further.last, end.sure and further.sure)
        return end

    async def first_readable(self, partition: int, first: int, last: int) -> int | None:
        """Try these offsets one by one; return the first that can be read. Raises TooMuchToTry."""
        left = TRIED_BYTES_MAX
        if last - first >= TRIED_MAX:
            raise TooMuchToTry
        for offset in range(first, last + 1):
            begin, fetched = await self._try(partition, offset)
            if begin is not None and begin <= last:
                return max(begin, offset)
            left -= len(fetched.raw)
            if left < 0:
                raise TooMuchToTry
        return None

    async def _search(self, partition: int, first: int, fault: Fault) -> End:
        """Find the end of a bad batch: from the fault, else by the batch's length, else by trying later offsets."""
        if fault.last is not None:
            return End(fault.last, sure=True)
        for size in WALKED_BYTES:
            fetched = await self._fetch(partition, first, size)
            good, claimed = find_good(fetched.raw, first, fetched.end)
            if good is None and claimed is not None and claimed >= first and fetched.whole:
                # The next batch is in the next segment, which the broker did not send.
                begin, _ = await self._try(partition, claimed + 1)
                good = begin if begin == claimed + 1 else None
            if good is not None:
                return End(good - 1, sure=True)
            if fetched.whole:
                break
        return await self._try_for_end(partition, first)

    async def _try_for_end(self, partition: int, first: int) -> End:
        """Try one offset after the other, then in growing steps, then back by halving.

        A batch of wrong length hides those behind it, so only offsets can be tried.
        """
        bad, good, step, left = first, None, 1, SEARCH_BYTES_MAX
        end: int | None = None
        one_by_one = True
        for tried in range(SEARCH_MAX + STEPS_MAX):
            if good is not None and good <= bad + 1:
                return End(bad, sure=one_by_one)
            if good is None:
                one_by_one = one_by_one and tried < SEARCH_MAX and left > SEARCH_BYTES_MAX // 2
                step = step if one_by_one else 2 * step
                step = step if end is None or bad + step < end else (end - bad) // 2
            if step == 0:
                break  # no good batch before the partition's end
            offset = bad + step if good is None else (bad + good) // 2
            begin, fetched = await self._try(partition, offset)
            left -= len(fetched.raw)
            if left < 0:
                break
            if fetched.error == OffsetOutOfRangeError.__name__:
                end = offset
            elif begin is not None:
                good = max(min(begin, offset), bad + 1)
            else:
                bad, end = offset, end if fetched.error is not None else fetched.end
        return End(None, sure=False)

    async def _try(self, partition: int, offset: int) -> tuple[int | None, Fetched]:
        """Return the first offset of the batch with the next message from this offset on; None if that batch is bad."""
        fetched = await self._fetch(partition, offset, ONE_BATCH)
        found = first_batch(fetched.raw)
        return (found[0] if found is not None and found[1] >= offset else None), fetched

    async def _fetch(self, partition: int, offset: int, bytes_max: int) -> Fetched:
        fetched = await self._wire.fetch(partition, offset, bytes_max)
        if fetched.error in NOT_OF_THE_DATA:
            raise Transient(f"Kafka does not let us read partition {partition}: {fetched.error}")
        return fetched
