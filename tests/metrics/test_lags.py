"""The age of a record that is not committed, read from the bytes of its batch."""

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from deploy.observing.lags import first_time

BEGAN, LATER = 1_700_000_000_000, 1_700_000_060_000
GZIP = 1


def batch(*times: int, compression: int = 0) -> bytearray:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=compression,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1_000_000,
    )
    for offset, time in enumerate(times):
        builder.append(offset, timestamp=time, key=b"k", value=b"v" * 100, headers=[])
    return bytearray(builder.build())


@pytest.mark.parametrize("compression", [0, GZIP])
def test_it_is_the_time_of_the_first_record_that_is_not_committed(compression: int) -> None:
    data = bytes(batch(BEGAN, LATER, compression=compression))
    assert [first_time(data, offset) for offset in (0, 1)] == [BEGAN, LATER]


def test_of_a_batch_that_cannot_be_unpacked_it_is_the_time_of_its_head() -> None:
    data = batch(BEGAN, LATER, compression=GZIP)
    data[61:] = b"\xff" * len(data[61:])
    assert first_time(bytes(data), 1) == BEGAN


@pytest.mark.parametrize("data", [b"", b"\0" * 10])
def test_where_no_batch_came_there_is_no_time(data: bytes) -> None:
    assert first_time(data, 0) is None
