"""Messages that wait to be sent to customers: what an answer makes of one, and when it is tried again.

A message is never a reason to hold up money. Nothing personal is in it: the address is looked up when it is sent.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from domain.decision import Notification
from domain.ids import EventId
from domain.values import Value

TRIES_MAX: Final = 100
"""A message that its receiver turned away so often is given up, though it may not be stale yet."""
AGAIN_MIN_S: Final = 5.0
AGAIN_MAX_S: Final = 900.0
"""Between two tries: at first, and at the most. So a hundred tries last about as long as a message is fresh."""
DOWN_AGAIN_S: Final = 5.0
"""While nothing can be sent at all, only a trial is made; see consumers.runtime.sweep.messages."""
NO_ADDRESS: Final = "no address"
"""Why a message was given up: the customer's directory has no address for them."""


class MessageState(StrEnum):
    """Where a message stands. waiting: also while it is under way. given_up: an operator may have it tried again.

    stale: it was too old when its turn came.
    """

    WAITING = "waiting"
    SENT = "sent"
    STALE = "stale"
    GIVEN_UP = "given_up"


class Message(Value, frozen=True):
    """A message under a lease of ours. lease: its end, which names it. at: the database's clock when it was claimed.

    tries: how often its receiver turned it away. send_until: afterwards it is stale.
    """

    notification: Notification
    tries: int
    lease: datetime
    send_until: datetime
    at: datetime


class Sent(Value, frozen=True):
    """The receiver has taken the message."""


class NotNow(Value, frozen=True):
    """It is not sent, as far as we know; a later try may help. why: never an address, nor a server's own text.

    down: nothing can be sent now, whoever it is for. That does not count as a try.
    """

    why: str
    down: bool = False


class Never(Value, frozen=True):
    """It cannot be sent; another try cannot help. why: as in NotNow."""

    why: str


Delivery = Sent | NotNow | Never


class Settled(Value, frozen=True):
    """What becomes of a message. again_at: when it is tried again; None: it is done. error: why the last try failed."""

    key: EventId
    lease: datetime
    state: MessageState
    tries: int
    again_at: datetime | None = None
    error: str | None = None


def is_over(message: Message) -> Settled | None:
    """Return what becomes of a message that is too old to be sent; None if it may be sent.

    One that was tried and never sent is given up, so that an operator hears of it.
    """
    if message.at <= message.send_until:
        return None
    if message.tries:
        return _given_up(message, message.tries, f"too old after {message.tries} tries")
    return Settled(message.notification.key, message.lease, MessageState.STALE, message.tries)


def settle(message: Message, delivery: Delivery, at: datetime) -> Settled:
    """Decide what a delivery makes of its message. at: now, by the database's clock."""
    key, lease = message.notification.key, message.lease
    if isinstance(delivery, Sent):
        return Settled(key, lease, MessageState.SENT, message.tries)
    if isinstance(delivery, Never):
        return _given_up(message, message.tries + 1, delivery.why)
    if delivery.down:
        again_at = _after(at, DOWN_AGAIN_S)
        return Settled(key, lease, MessageState.WAITING, message.tries, again_at, delivery.why)
    tries = message.tries + 1
    again_at = _after(at, again_s(tries))
    if tries >= TRIES_MAX or again_at > message.send_until:
        return _given_up(message, tries, f"{delivery.why}; given up after {tries} tries")
    return Settled(key, lease, MessageState.WAITING, tries, again_at, delivery.why)


def again_s(tries: int) -> float:
    """Return the seconds until the next try: doubled with each one."""
    return float(min(AGAIN_MIN_S * 2 ** min(max(tries, 1) - 1, 30), AGAIN_MAX_S))


def _given_up(message: Message, tries: int, why: str) -> Settled:
    return Settled(message.notification.key, message.lease, MessageState.GIVEN_UP, tries, error=why)


def _after(at: datetime, seconds: float) -> datetime:
    return at + timedelta(seconds=seconds)
