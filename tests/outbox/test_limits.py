"""A dead letter is kept, whatever its time-stamp, its coordinates and its headers are."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.dead_letter import DeadLetter
from outbox.journal.limits import (
    DETAIL_LENGTH_MAX,
    TIMESTAMP,
    original_headers,
    signed_bytes,
    storable_text,
    storable_time,
)
from outbox.journal.rows import dead_letter_row
from schemas.fields import LONG_MAX
from schemas.rejection import Reason

NANOSECONDS = 1_770_000_000_000_000_000


def letter(**changes: Any) -> DeadLetter:
    fields: dict[str, Any] = {
        "group": "payments.authorize_payment",
        "topic": "OrderConfirmed",
        "partition": 0,
        "offset": 7,
        "timestamp_ms": 1_770_000_000_000,
        "key": None,
        "body": None,
        "headers": (),
        "masked": False,
        "reason": Reason.UNDECODABLE,
        "detail": "It is none.",
    }
    return DeadLetter(**fields | changes)


def copied(kept: DeadLetter) -> dict[str, bytes]:
    """Give the headers of the copy that goes to the dead letter topic."""
    row = dead_letter_row(1, kept, datetime(2026, 1, 1, tzinfo=UTC))
    return dict(zip(row[8], row[9], strict=True))


@pytest.mark.parametrize(
    ("timestamp_ms", "at"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
        (1_770_000_000_123, datetime(2026, 2, 2, 2, 40, 0, 123_000, tzinfo=UTC)),
        (NANOSECONDS, datetime(9999, 12, 30, tzinfo=UTC)),
        (LONG_MAX, datetime(9999, 12, 30, tzinfo=UTC)),
        (-NANOSECONDS, datetime(1, 1, 2, tzinfo=UTC)),
    ],
)
def test_a_time_stamp_is_its_moment_or_the_nearest_end_of_the_calendar(timestamp_ms: int, at: datetime) -> None:
    assert storable_time(timestamp_ms) == at


@given(st.integers(-LONG_MAX - 1, LONG_MAX), st.integers(-14, 14))
def test_any_moment_can_be_read_in_any_time_zone(timestamp_ms: int, hours: int) -> None:
    assert (storable_time(timestamp_ms) + timedelta(hours=hours)).tzinfo is UTC


@pytest.mark.parametrize("timestamp_ms", [NANOSECONDS, -NANOSECONDS])
def test_a_time_stamp_out_of_bounds_stays_in_a_header_and_in_springs(timestamp_ms: int) -> None:
    kept = letter(timestamp_ms=timestamp_ms, headers=(("a", b"1"),))

    assert original_headers(kept) == [("a", b"1"), (TIMESTAMP, str(timestamp_ms).encode())]
    named = copied(kept)
    assert int.from_bytes(named["kafka_dlt-original-timestamp"], "big", signed=True) == timestamp_ms


def test_headers_stay_as_they_came_but_for_what_no_database_stores() -> None:
    odd: Any = (("ce_id", None), ("a\0b", b"\0"), ("\ud800", b""), ("", b"x"), ("ü", b"y"))

    assert original_headers(letter(headers=odd)) == [
        ("ce_id", None),
        ("a\ufffdb", b"\0"),
        ("\ufffd", b""),
        ("", b"x"),
        ("ü", b"y"),
    ]


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (7, b"\0\0\0\7"),
        (-1, b"\xff\xff\xff\xff"),
        (2**31 - 1, b"\x7f\xff\xff\xff"),
        (2**31, b"\x7f\xff\xff\xff"),
        (-(2**40), b"\x80\0\0\0"),
    ],
)
def test_a_number_is_written_in_its_bytes_or_as_the_nearest_that_fits(number: int, written: bytes) -> None:
    assert signed_bytes(number, 4) == written


def test_a_detail_is_kept_up_to_its_bound() -> None:
    assert storable_text("x" * 1_000_000) == "x" * DETAIL_LENGTH_MAX
    assert copied(letter(detail="x" * 1_000_000))["kafka_dlt-exception-message"] == b"x" * DETAIL_LENGTH_MAX


def test_a_detail_of_any_text_is_a_header() -> None:
    named = copied(letter(detail="a\0\ud800"))

    assert named["kafka_dlt-exception-message"].decode() == "a\ufffd\ufffd"
