"""Letters are redriven in the order in which their messages came."""

from datetime import UTC, datetime, timedelta
from typing import Any

from outbox.operators.letter_list import in_order

AT = datetime(2026, 1, 1, tzinfo=UTC)


def letter(number: int, offset: int, **changes: Any) -> dict[str, Any]:
    known = {"id": number, "number": number, "order_id": "order-1", "topic": "a", "partition": 0, "offset": offset}
    return {**known, "at": AT, "message_at": AT + timedelta(seconds=offset), "waits": False, **changes}


def test_letters_of_one_batch_go_by_their_offsets_whatever_refused_them() -> None:
    decided, undecodable = letter(2, 5), letter(1, 6)
    assert in_order([undecodable, decided]) == [[decided, undecodable]]


def test_what_waits_in_quarantine_goes_as_it_was_put_there() -> None:
    first, second = letter(1, 9, waits=True), letter(2, 4, waits=True, at=AT + timedelta(seconds=1))
    assert in_order([second, first]) == [[first, second]]
