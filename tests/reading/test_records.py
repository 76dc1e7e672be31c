"""The careful reader reads what aiokafka reads, and goes on where aiokafka gives up."""

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.adapters.kafka.records import READ_BYTES_MAX, Contents, Fault, read_contents

HEADERS = st.lists(st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=8)), max_size=3)
RECORDS = st.lists(
    st.tuples(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=200), HEADERS), min_size=1, max_size=20
)


def batch(base: int, records: Sequence[Any], codec: int = 0, at_ms: int = 1_700_000_000_000) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for n, (key, value, headers) in enumerate(records):
        builder.append(n, timestamp=at_ms + n, key=key, value=value, headers=headers)
    raw = bytearray(builder.build())
    raw[:8] = struct.pack(">q", base)
    return bytes(raw)


def simple(base: int, count: int, codec: int = 0) -> bytes:
    return batch(base, [(b"k", b"v%d" % n, []) for n in range(base, base + count)], codec)


def checked(raw: bytes) -> bytes:
    """Give a changed batch the checksum that fits."""
    return raw[:17] + int(calc_crc32c(raw[21:])).to_bytes(4, "big") + raw[21:]


def read(raw: bytes, offset: int, end: int, limit: int = 1_000) -> Contents:
    return read_contents(raw, offset, end, (), limit, whole=True)


def offsets(contents: Contents) -> list[int]:
    return [record.offset for record in contents.records]


@settings(max_examples=60, deadline=None)
@given(records=RECORDS, codec=st.sampled_from([0, 1, 2, 3, 4]), base=st.integers(0, 1 << 40))
def test_it_reads_what_aiokafka_reads(records: Sequence[Any], codec: int, base: int) -> None:
    raw = batch(base, records, codec)
    theirs = [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in MemoryRecords(raw).next_batch()]
    ours = read(raw, base, base + len(theirs))
    assert [tuple(record) for record in ours.records] == theirs
    assert (ours.next, ours.fault) == (base + len(theirs), None)


@pytest.mark.parametrize("codec", [0, 1])
def test_what_unpacks_to_many_megabytes_is_given_piece_by_piece_and_all_of_it(codec: int) -> None:
    body, count = bytes(100_000), 30 * 9
    batches = [batch(base, [(b"k", body, [])] * 9, codec) for base in range(0, count, 9)]
    at, pieces = 0, []
    while at < count:
        found = read(b"".join(batches[at // 9 :]), at, count)  # a broker begins with the batch that has the offset
        assert found.fault is None
        assert offsets(found) == list(range(at, found.next))
        pieces.append(sum(len(record.value or b"") for record in found.records))
        at = found.next
    assert sum(pieces) == count * len(body) > 3 * READ_BYTES_MAX
    assert max(pieces) <= READ_BYTES_MAX + len(body)


@settings(max_examples=100, deadline=None)
@given(noise=st.binary(max_size=300), at=st.integers(0, 400), codec=st.sampled_from([0, 1, 2, 3, 4]))
def test_no_bytes_make_it_raise(noise: bytes, at: int, codec: int) -> None:
    raw = bytearray(simple(0, 3, codec) + simple(3, 3, codec))
    raw[at : at + len(noise)] = noise
    found = read(bytes(raw), 0, 6)
    assert found.fault is None or found.fault.first == found.next
    assert offsets(found) == sorted(set(offsets(found)))


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_records_around_a_header_that_is_no_text_are_read(codec: int) -> None:
    raw = bytearray(batch(0, [(b"k", b"0", []), (b"k", b"1", [("name", b"x")]), (b"k", b"2", [])]))
    at = raw.index(b"name")
    raw[at : at + 4] = b"\xff" * 4
    found = read(checked(bytes(raw)), 0, 3)
    assert [(r.value, r.headers) for r in found.records] == [(b"0", ()), (b"1", None), (b"2", ())]


def test_reading_begins_in_the_middle_of_a_batch_and_ends_at_the_limit() -> None:
    raw = simple(0, 5) + simple(5, 5)
    assert offsets(read(raw, 3, 10)) == [3, 4, 5, 6, 7, 8, 9]
    found = read(raw, 3, 10, limit=4)
    assert (offsets(found), found.next, found.fault) == ([3, 4, 5, 6], 7, None)


def test_gap_between_batches_is_no_fault() -> None:
    assert offsets(read(simple(0, 2) + simple(7, 2), 0, 9)) == [0, 1, 7, 8]


@pytest.mark.parametrize("says", [100_000, 13, 2], ids=["beyond the end", "behind its successor", "before us"])
def test_batch_that_says_that_it_lies_elsewhere_is_a_fault(says: int) -> None:
    moved = struct.pack(">q", says) + simple(6, 3)[8:]
    found = read(simple(3, 3) + moved + simple(9, 3), 3, 12)
    assert offsets(found) == [3, 4, 5]
    assert found.fault == Fault(6, 8, "a batch's offsets do not fit between its neighbours'")
    assert offsets(read(moved + simple(9, 3), 9, 12)) == [9, 10, 11]


def test_bad_batch_at_the_end_ends_there() -> None:
    raw = bytearray(simple(0, 2) + simple(2, 2))
    raw[-3] ^= 1
    assert read(bytes(raw), 0, 4).fault == Fault(
        2, 3, "a batch's checksum is wrong: it was changed on disk or on its way"
    )


def test_batch_that_is_cut_off_comes_whole_next_time_if_there_is_more() -> None:
    raw = simple(0, 2) + simple(2, 2)[:50]
    assert read_contents(raw, 0, 4, (), 10).fault is None
    assert read_contents(raw, 0, 4, (), 10, whole=True).fault == Fault(2, None, "a batch's length is wrong")
