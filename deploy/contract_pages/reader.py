"""What is said of one reader of the contract."""

from dataclasses import dataclass
from enum import StrEnum

from schemas.topics import TOPICS, Publisher


class Theme(StrEnum):
    """Parts of a page that only some readers need."""

    FAILURE_CODES = "failure_codes"
    RETRY_REFUSALS = "retry_refusals"
    CANCEL_REFUSALS = "cancel_refusals"
    REVIEWS = "reviews"
    LIVEMODE = "livemode"
    AMOUNT_LIMITS = "amount_limits"


@dataclass(frozen=True, slots=True)
class Reader:
    """One team. slug: of its page, its user and its consumer groups. publisher: whose topics in the table are its own.

    reads: event types, the most important first. settings: the numbers that it should know, by field of Settings.
    advice: what it should do, a sentence or two each.
    """

    slug: str
    name: str
    about: str
    publisher: Publisher | None
    reads: tuple[str, ...]
    settings: tuple[str, ...]
    themes: tuple[Theme, ...]
    advice: tuple[str, ...]

    @property
    def publishes(self) -> tuple[str, ...]:
        """Return the event types that only this reader may publish."""
        return tuple(event_type for event_type, topic in TOPICS.items() if topic.publisher is self.publisher)

    @property
    def dead_letters(self) -> tuple[str, ...]:
        """Return the event types whose dead letters concern this reader: what was refused of its own.

        Those of our topics are about faults of ours, and concern operators alone.
        """
        return tuple(event_type for event_type in self.publishes if TOPICS[event_type].consumed)
