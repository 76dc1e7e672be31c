"""What was asked of an order after it was confirmed: to cancel it, or to give back some of its money.

A request is kept with its order, and it is carried out when nothing else is under way. Amounts are in the order's minor
units, times in UTC.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

from domain.ids import EventId
from domain.lines import OrderLine
from domain.values import Value

REQUESTS_MAX: Final = 200
"""An order keeps so many requests at most: they are loaded with it. Further ones become dead letters."""


class RequestKind(StrEnum):
    """What is asked for."""

    CANCEL = "cancel"
    REFUND = "refund"


class RequestState(StrEnum):
    """Where a request stands.

    Waiting: something is under way, so it is taken later, in order of arrival. Approval: it waits for a second person.
    Taken: its money or goods are under way. Done and refused are the two ends.
    """

    WAITING = "waiting"
    APPROVAL = "approval"
    TAKEN = "taken"
    DONE = "done"
    REFUSED = "refused"


ENDED: Final = frozenset({RequestState.DONE, RequestState.REFUSED})
NOTED: Final = frozenset({RequestState.WAITING, RequestState.TAKEN})
"""A cancel in these states stops the order: nothing is reserved or captured any more."""


class Request(Value, frozen=True):
    """One request. Kind and request_id together name it within its order.

    arrival: its place among the order's requests, from 1. content_hash: of what was asked for (`hash_request`). reason,
    requested_by: as upstream or the operator wrote them. operator: the OS user or database role behind a command; None
    if upstream asked. causation_id: the event that asked; None for a command. amount_minor: of a refund; None: all that
    is kept. lines: to be restocked. taken_minor: what it was taken for, once it is taken. refused: the reason, as our
    event says it. returned_minor: what went back for it so far. tries: how many refunds were sent for it, each under a
    key of its own. asked_at: when its event says that it was asked for, at noted_at the latest; None: before 0020.
    """

    request_id: str
    kind: RequestKind
    arrival: int
    content_hash: bytes
    noted_at: datetime
    reason: str
    requested_by: str
    operator: str | None = None
    causation_id: EventId | None = None
    amount_minor: int | None = None
    lines: tuple[OrderLine, ...] = ()
    state: RequestState = RequestState.WAITING
    taken_minor: int | None = None
    refused: str | None = None
    approved_by: str | None = None
    approved_at: datetime | None = None
    taken_at: datetime | None = None
    ended_at: datetime | None = None
    returned_minor: int = 0
    tries: int = 0
    asked_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in ENDED

    @property
    def since(self) -> datetime:
        """Return since when calls may have been made for it. A restored database may note it long afterwards."""
        return self.noted_at if self.asked_at is None else self.asked_at


def find(requests: Iterable[Request], kind: RequestKind, request_id: str) -> Request | None:
    """Return the request of this kind and id."""
    for request in requests:
        if request.request_id == request_id and request.kind is kind:
            return request
    return None


def next_waiting(requests: Iterable[Request]) -> Request | None:
    """Return the request that is to be taken next: of those that wait, the one that arrived first."""
    waiting = (request for request in requests if request.state is RequestState.WAITING)
    return min(waiting, key=lambda request: request.arrival, default=None)


def noted_cancel(requests: Iterable[Request]) -> Request | None:
    """Return the cancel that is noted and not carried out yet: the one that is taken, else the first that waits.

    Others wait behind it, and end with it.
    """
    noted = [r for r in requests if r.kind is RequestKind.CANCEL and r.state in NOTED]
    return next((r for r in noted if r.state is RequestState.TAKEN), noted[0] if noted else None)


def with_request(requests: tuple[Request, ...], request: Request) -> tuple[Request, ...]:
    """Return the requests with this one, in place of the old one of its kind and id if there is one."""
    others = (r for r in requests if r.request_id != request.request_id or r.kind is not request.kind)
    return tuple(sorted((*others, request), key=lambda r: r.arrival))


def hash_request(
    kind: RequestKind,
    reason: str,
    requested_by: str,
    amount_minor: int | None = None,
    lines: Iterable[OrderLine] = (),
) -> bytes:
    """Hash (SHA-256) what makes two requests of one id the same. It is stored: never change it."""
    content = (str(kind), amount_minor, tuple((line.sku, line.quantity) for line in lines), reason, requested_by)
    return hashlib.sha256(repr(content).encode()).digest()
