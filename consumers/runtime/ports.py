"""What the runtime is given: the outside world."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from domain.ports.gateway import Gateway
from domain.ports.inventory import LocalInventory, RemoteInventory
from domain.ports.letters import KeptLetters
from domain.ports.messages import Messages, Messenger
from domain.ports.metering import RunMeter, Unmetered
from domain.ports.notices import NoticeList, Notices
from domain.ports.notifier import Notifier
from domain.ports.store import Store
from domain.ports.tracing import Tracer
from schemas.events import Event
from schemas.hiding import Hidden

Decode = Callable[[str, bytes | None, bytes | None], Event]


class Mask(Protocol):
    """Makes unreadable what must not be kept, or must not be shown, in a message of this event's topic."""

    def mask(self, event_type: str, value: bytes) -> tuple[bytes, int]:
        """Return the same bytes with card numbers made unreadable, and how many there were."""
        ...

    def hide(self, event_type: str, value: bytes) -> Hidden:
        """Return a body without its payment token, for others to read."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world. decode: from event type, key and body to an event; raises schemas.rejection.Rejected.

    mask: of what must not be kept or shown. letters: where dead letters are kept; None: nothing is erased in them.
    notices: where the gateway's notices are kept; notice_list: its own list of them. None: there are none.
    messages: where messages to customers wait; messenger: who sends them. None: they are not sent.
    inventory: the stock in our own database; None if it is elsewhere: then remote is where, for those who call it.
    meter: hears of consumers. tracer: hears of messages; None: nothing is traced.
    """

    store: Store
    gateway: Gateway
    inventory: LocalInventory | None
    notifier: Notifier
    decode: Decode
    mask: Mask
    notices: Notices | None = None
    notice_list: NoticeList | None = None
    messages: Messages | None = None
    messenger: Messenger | None = None
    remote: RemoteInventory | None = None
    letters: KeptLetters | None = None
    meter: RunMeter = field(default_factory=Unmetered)
    tracer: Tracer | None = None


@dataclass(frozen=True, slots=True)
class Local:
    """The ports that are used inside a transaction, for those who need no others. inventory: see Ports."""

    inventory: LocalInventory | None
    notifier: Notifier
