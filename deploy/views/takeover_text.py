"""What a take-over did, as text for people and as JSON."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from schemas.texts import counted

NAMED_MAX: Final = 20
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Left(Protocol):
    """An order that could not be taken over."""

    @property
    def order_id(self) -> str:
        """Return the order."""
        ...

    @property
    def why(self) -> str:
        """Return why not."""
        ...


class Taken(Protocol):
    """What was done, as deploy.rebuilding counts it."""

    orders: int
    begun: int
    events: int
    unsent: int
    inbox: int
    outbox: int
    loosely: list[str]
    covered: dict[str, int]
    unread_since: int | None

    @property
    def left(self) -> list[Any]:
        """Return what could not be taken over."""
        ...


def taken_document(taken: Taken | None) -> dict[str, Any]:
    """Return the member `applied` of the JSON document; none if nothing was to be applied."""
    if taken is None:
        return {}
    names = ("orders", "begun", "events", "unsent", "inbox", "outbox", "loosely", "covered")
    rewind_to = _moment(taken.unread_since) if taken.unread_since is not None else None
    left = [{"order_id": one.order_id, "version": one.version, "why": one.why} for one in taken.left]
    return {"applied": {name: getattr(taken, name) for name in names} | {"rewind_to": rewind_to, "left": left}}


def taken_lines(taken: Taken | None) -> Iterator[str]:
    """Say what was done, and name what was not."""
    if taken is None:
        return
    yield (
        f"taken over: {counted(taken.orders, 'order')} with {counted(taken.events, 'event')}, "
        f"{counted(taken.inbox, 'inbox row')}; {counted(taken.begun, 'call')} to be looked up"
    )
    if taken.unsent:
        yield f"{counted(taken.unsent, 'event')} of these decisions had not been sent: the relay sends them"
    if taken.outbox:
        yield f"{counted(taken.outbox, 'event')} in the outbox were on their topics already"
    if taken.loosely:
        yield f"other words or times than this release would say: {_named(taken.loosely)}"
    for sku, units in sorted(taken.covered.items()):
        yield f"SKU {sku}: {counted(units, 'unit')} put in, which orders had and the restored stock lacked"
    if taken.unread_since is not None:
        yield (
            "what was read before the loss, and is to be read again, begins at "
            f"{_moment(taken.unread_since)}: rewind the consumers to that time, or an earlier one"
        )
    for one in taken.left[:NAMED_MAX]:
        yield f"NOT taken over, waits in quarantine: order {one.order_id}: {one.why}"
    if len(taken.left) > NAMED_MAX:
        yield f"NOT taken over: {len(taken.left) - NAMED_MAX} more, see `payments dlq list`"


def _moment(message_at: int) -> str:
    """Return a time-stamp as `payments offsets rewind --to` takes it."""
    return (_EPOCH + timedelta(milliseconds=message_at)).isoformat(timespec="milliseconds")


def _named(orders: list[str]) -> str:
    more = f" and {len(orders) - NAMED_MAX} more" if len(orders) > NAMED_MAX else ""
    return ", ".join(orders[:NAMED_MAX]) + more
