"""What the runtime is given, and its bounds."""

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


@dataclass(frozen=True, slots=True)
class Bounds:
    """Every queue, batch and wait of the runtime. Durations in seconds.

    quarantine_max: how much may raise within ten minutes, over all processes. One more stops the process.
    late_s: an event of ours that is older when we react to it is late. late_wait_max_s: so long new orders wait then.
    late_begin_per_s: but so many a second are begun all the same, if they come.
    ramp_step_s: after an outage the number of calls that begin in such a time doubles from one to the next.
    call_max_s, stock_call_max_s: one request at the gateway, at an inventory elsewhere.
    dead_letter_token_days: how long a dead letter keeps its payment token, if nobody redrives it.
    """

    batch_max: int = 500
    transactions_max: int = 4
    operations_open_max: int = 4_000
    poll_s: float = 0.5
    late_s: float = 1
    late_wait_max_s: float = 5
    late_begin_per_s: float = 100
    call_max_s: float = 30
    stock_call_max_s: float = 10
    drain_timeout_s: float = 20
    sweep_interval_s: float = 1
    refund_recheck_s: float = 86_400
    outage_backoff_max_s: float = 5
    contended_runs_max: int = 20
    breaker_failures: int = 50
    breaker_pause_s: float = 1
    breaker_pause_max_s: float = 30
    breaker_seen_s: float = 120
    ramp_step_s: float = 1
    stalled_after_s: float = 300
    quarantine_max: int = 20
    dead_letter_token_days: int = 7
