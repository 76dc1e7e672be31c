"""Reads record batches from a partition's bytes, from one offset on, up to the first fault, which it names.

aiokafka reads faster. But it drops a whole batch for one bad header, hides which batch it was, and does not notice a
batch with wrong offsets. The format: Kafka's protocol guide, "Record Batch" (message format 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from consumers.adapters.kafka.batches import (
    CODEC,
    CONTROL,
    FORMAT,
    TRANSACTIONAL,
    Head,
    Record,
    is_sound,
    read_head,
    read_records,
)
from consumers.adapters.kafka.unpacking import UNPACK

ABORT: Final = b"\0\0\0\0"
"""Version and type of the marker of an aborted transaction."""


READ_BYTES_MAX: Final = 8 << 20
"""Bytes of keys and bodies that are given at a time. What a broker sends packed may be a thousand times longer."""


class Fault(NamedTuple):
    """Where reading ends, and why. last: the last offset that cannot be read; None: not known here."""

    first: int
    last: int | None
    cause: str


@dataclass(slots=True)
class Contents:
    """The records from an offset on. next: the offset to go on with. size: bytes of their keys and bodies."""

    next: int
    size: int = 0
    records: list[Record] = field(default_factory=list)
    fault: Fault | None = None


def read_contents(
    raw: bytes, offset: int, end: int, aborted: Sequence[tuple[int, int]], limit: int, *, whole: bool = False
) -> Contents:
    """Read what a broker sent for this offset: at most `limit` records, up to the first fault.

    No record follows once READ_BYTES_MAX are reached: what is left is read in a next turn, so memory is bounded.
    end: the offset behind the partition's last message. aborted: producer and first offset of aborted transactions.
    whole: the broker sent all that it has; then a batch that is cut off is a fault.
    """
    contents = Contents(offset)
    transactions = _Transactions(aborted)
    at = 0
    while at < len(raw) and not _is_full(contents, limit) and contents.fault is None:
        head = read_head(raw, at)
        if head is None:
            if at == 0 or whole:
                contents.fault = Fault(contents.next, None, "a batch's length is wrong")
            break
        at = head.end
        sound = is_sound(raw, head)
        if _lies_before(raw, head, contents.next, sound=sound):
            continue
        cause = _name_fault(raw, head, contents.next, end, sound=sound)
        if cause is not None:
            contents.fault = Fault(contents.next, _last_bad(raw, head, contents.next, end), cause)
        elif transactions.skip(raw, head):
            contents.next = head.last + 1
        else:
            _read_batch(raw, head, contents, limit)
    return contents


def _is_full(contents: Contents, limit: int) -> bool:
    return len(contents.records) >= limit or contents.size >= READ_BYTES_MAX


def _read_batch(raw: bytes, head: Head, contents: Contents, limit: int) -> None:
    """Add the batch's records, from the contents' next offset on."""
    try:
        for record in read_records(raw, head):
            if record.offset < contents.next:
                continue
            if _is_full(contents, limit):
                return
            contents.records.append(record)
            contents.next = record.offset + 1
            contents.size += len(record.key or b"") + len(record.value or b"")
    except Exception as error:  # noqa: BLE001 - codecs' errors share no base class, and all mean the same here
        contents.fault = Fault(contents.next, head.last, _cause(head, error))
    else:
        contents.next = head.last + 1


class _Transactions:
    """The producers whose transactions are aborted, from one batch to the next."""

    def __init__(self, aborted: Sequence[tuple[int, int]]) -> None:
        self._ahead = sorted(aborted, key=lambda transaction: transaction[1])
        self._producers: set[int] = set()

    def skip(self, raw: bytes, head: Head) -> bool:
        """Whether readers skip this batch: it is a marker, or part of an aborted transaction."""
        while self._ahead and self._ahead[0][1] <= head.base:
            self._producers.add(self._ahead.pop(0)[0])
        if head.attributes & CONTROL:
            if _aborts(raw, head):
                self._producers.discard(head.producer)
            return True
        return bool(head.attributes & TRANSACTIONAL) and head.producer in self._producers


def first_batch(raw: bytes) -> tuple[int, int] | None:
    """Return first and last offset of the first batch, if its checksum is right."""
    head = read_head(raw, 0)
    return (head.base, head.last) if head is not None and is_sound(raw, head) else None


def find_good(raw: bytes, first: int, end: int) -> tuple[int | None, int | None]:
    """Go over bad batches by their lengths. Return the first offset of the first good one, None if there is none.

    The second value: if the bytes end exactly with a batch, the last offset in that batch's head.
    """
    at, claimed = 0, None
    while (head := read_head(raw, at)) is not None:
        at, claimed = head.end, head.last
        if head.base > first and _name_fault(raw, head, first + 1, end, sound=is_sound(raw, head)) is None:
            return head.base, None
    return None, claimed if at == len(raw) else None


def _lies_before(raw: bytes, head: Head, offset: int, *, sound: bool) -> bool:
    """Whether the batch ends before our offset. A broker may begin with such a batch, and it may be bad."""
    if sound and head.base <= head.last < offset:
        return head.start == 0
    if sound and head.base <= offset <= head.last:
        return False
    after = read_head(raw, head.end)
    return after is not None and after.base <= offset <= after.last and is_sound(raw, after)


def _name_fault(raw: bytes, head: Head, offset: int, end: int, *, sound: bool) -> str | None:
    """Return what is wrong with the whole batch, None if nothing is. No checksum covers its first offset."""
    if head.magic != FORMAT:
        return f"a batch's message format is {head.magic}, and this release reads {FORMAT} only"
    if not sound:
        return "a batch's checksum is wrong: it was changed on disk or on its way"
    overlaps = head.base < offset and head.start > 0
    after = read_head(raw, head.end) if head.base > offset else None
    overtakes = after is not None and after.base < head.base and is_sound(raw, after)
    if overlaps or overtakes or not offset <= head.last < end or head.last < head.base:
        return "a batch's offsets do not fit between its neighbours'"
    return None


def _last_bad(raw: bytes, head: Head, offset: int, end: int) -> int | None:
    """Return the last offset of a bad batch: the one before the next good batch, or before the partition's end."""
    if head.end == len(raw) and head.last == end - 1:
        return head.last
    after = read_head(raw, head.end)
    return after.base - 1 if after is not None and after.base > offset and is_sound(raw, after) else None


def _aborts(raw: bytes, head: Head) -> bool:
    try:
        return any(record.key == ABORT for record in read_records(raw, head))
    except Exception:  # noqa: BLE001 - as in _read_batch; a marker that cannot be read ends nothing
        return False


def _cause(head: Head, error: Exception) -> str:
    codec = UNPACK.get(head.attributes & CODEC)
    what = f"the {codec[0]} data of a batch" if codec is not None else "the records of a batch"
    return f"{what} cannot be read ({type(error).__name__}: {error})"
