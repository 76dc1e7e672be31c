"""The settings that the rules depend on. Durations are in seconds."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache

from domain.ids import EventId
from domain.values import Value
from schemas.events import Event


class Rules(Value, frozen=True):
    """Set by deploy's settings; the defaults are the documented ones.

    action_timeout_s: a customer has so long to confirm a payment with their bank. pending_hold_s: a bank has so long to
    process a payment before the order fails. cancel_window_s: a paid order may be cancelled for so long. early_wait_s:
    a message waits so long for its order. inventory_elsewhere: the stock is kept by another system, so each call about
    goods is an operation with a row. four_eyes_minor: by currency, above which sum of refunds of an order a second
    person approves, within approval_max_s. statement_suffix, description, return_url: templates of `domain.wording`.
    """

    retry_window_s: float = 86_400
    attempts_max: int = 5
    order_max_age_s: float = 82_800
    reservation_ttl_s: float = 900
    lease_s: float = 60
    backoff_min_s: float = 1
    backoff_max_s: float = 300
    tries_max: int = 20
    unknown_retry_s: float = 5
    decision_max_s: float = 300
    unknown_give_up_s: float = 82_800
    key_life_s: float = 82_800
    delayed_notice_s: float = 900
    pending_poll_s: float = 3_600
    pending_give_up_s: float = 30 * 86_400
    action_timeout_s: float = 1_800
    pending_hold_s: float = 604_800
    clock_skew_max_s: float = 300
    notification_max_age_s: float = 86_400
    stuck_after_s: float = 900
    resends_max: int = 3
    approval_max_s: float = 604_800
    four_eyes_minor: Mapping[str, int] | None = None
    cancel_window_s: float = 1_800
    early_wait_s: float = 900
    livemode: bool = False
    inventory_elsewhere: bool = False
    statement_suffix: str | None = None
    description: str | None = None
    return_url: str | None = None


class Context(Value, frozen=True):
    """What a decision may know of the world. at: the transaction's now(). causation_id: the event that caused it.

    content: the hash of the event's content (domain.content), if it is known already. early: events about the order
    that came before it. operator: the OS user or database role behind a command. recorded_at: the time-stamp
    of the event's message; None: it has none, or none that is of use.
    """

    at: datetime
    causation_id: EventId | None
    rules: Rules
    content: bytes | None = None
    early: tuple[Event, ...] = ()
    operator: str | None = None
    recorded_at: datetime | None = None

    def after(self, seconds: float) -> datetime:
        """Return the moment this many seconds from now."""
        return self.at + span(seconds)


@lru_cache(maxsize=256)
def span(seconds: float) -> timedelta:
    """Cache the few durations that the rules have."""
    return timedelta(seconds=seconds)
