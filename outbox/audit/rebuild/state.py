"""The state of an order that both sides must agree on, and its one form as bytes.

Amounts are in minor units of the order's currency. What is left out, and why, is in outbox/README.md.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import orjson


class AttemptState(NamedTuple):
    """The money and references of one attempt.

    transaction_id: None if the attempt had no approval and never asked its customer: then no event of ours names it.
    refund_ids: of refunds that succeeded, and did not fail afterwards, sorted.
    """

    number: int
    transaction_id: str | None = None
    authorized_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    held_minor: int = 0
    reservation_id: str | None = None
    refund_ids: tuple[str, ...] = ()


class OrderState(NamedTuple):
    """One order. attempt: the number of the current one. attempts: all, by number."""

    order_id: str
    status: str
    attempt: int
    version: int
    currency: str
    total_minor: int
    attempts: tuple[AttemptState, ...]


class FieldDifference(NamedTuple):
    """One field that differs, as `attempts[1].captured_minor`. live, topics: None if that side has none."""

    field: str
    live: Any
    topics: Any

    def __str__(self) -> str:
        """Name the field and both values."""
        return f"{self.field} is {self.live}, by the topics {self.topics}"


_NAMED: Final = OrderState._fields[1:-1]


def write_state(state: OrderState) -> bytes:
    """Write a state as one line of JSON; the same state always gives the same bytes."""
    return orjson.dumps([*state[:-1], [list(attempt) for attempt in state.attempts]])


def read_state(line: bytes | str) -> OrderState:
    """Read what write_state wrote."""
    *fields, attempts = orjson.loads(line)
    return order_of(fields, attempts)


def order_of(fields: Sequence[Any], attempts: Sequence[Sequence[Any]]) -> OrderState:
    """Make a state of the cells of its fields and of its attempts, in their order."""
    states = tuple(AttemptState._make((*cells[:-1], tuple(cells[-1]))) for cells in attempts)
    return OrderState._make((*fields, states))


def differences(live: OrderState, topics: OrderState) -> Iterator[FieldDifference]:
    """Yield the fields in which two states of one order differ."""
    for name in _NAMED:
        ours, theirs = getattr(live, name), getattr(topics, name)
        if ours != theirs:
            yield FieldDifference(name, ours, theirs)
    here = {attempt.number: attempt for attempt in live.attempts}
    there = {attempt.number: attempt for attempt in topics.attempts}
    for number in sorted(here.keys() | there.keys()):
        one, other = here.get(number), there.get(number)
        if one is None or other is None:
            yield FieldDifference(f"attempts[{number}]", one and "there", other and "there")
            continue
        for name, ours, theirs in zip(AttemptState._fields, one, other, strict=True):
            if ours != theirs:
                yield FieldDifference(f"attempts[{number}].{name}", ours, theirs)
