"""Why a message of others becomes a dead letter, as its publisher must know it, and on which topics that can happen.

What is refused on a topic of ours concerns operators alone: deploy/README.md is theirs.
"""

from dataclasses import dataclass
from typing import Final

from schemas.rejection import Reason
from schemas.topics import TOPICS

_EVERY: Final = tuple(event_type for event_type, topic in TOPICS.items() if not topic.ours)
_ORDERS: Final = ("OrderConfirmed",)
_METHODS: Final = ("OrderConfirmed", "PaymentRetryRequested")
_REQUESTS: Final = ("OrderCancelRequested", "RefundRequested")
_STOCK: Final = ("StockAdjusted",)
_LATER: Final = ("PaymentRetryRequested", *_REQUESTS, "PreparationStarted")


@dataclass(frozen=True, slots=True)
class Refusal:
    """meaning: what is wrong. todo: what the publisher does. topics: of which events of others."""

    meaning: str
    todo: str
    topics: tuple[str, ...]


REFUSALS: Final[dict[Reason, Refusal]] = {
    Reason.UNDECODABLE: Refusal(
        "There is no body, it begins with neither framing, or it is not Avro of the schema that it names.",
        "Encode with the schema of this page, behind C3 01 and the fingerprint, or behind 00 and a registry's id.",
        _EVERY,
    ),
    Reason.NOT_CANONICAL: Refusal(
        "It can be read, but encoding it again gives other bytes: bytes at the end, or a number longer than it must "
        "be.",
        "Use a maintained Avro library. Arrays in several blocks are fine.",
        _EVERY,
    ),
    Reason.TOO_LARGE: Refusal(
        "The body is larger than `PAYMENTS_MESSAGE_BYTES_MAX`.", "Send less; no event needs so much.", _EVERY
    ),
    Reason.UNKNOWN_SCHEMA: Refusal(
        "The fingerprint is that of no schema of this topic, or the registry's id cannot be found or read.",
        "Compare your fingerprint with the one on this page. If it is another schema, publish with a released one.",
        _EVERY,
    ),
    Reason.WRONG_SCHEMA: Refusal(
        "It is another event, which has a topic of its own.", "Publish each event on its own topic.", _EVERY
    ),
    Reason.KEY_MISMATCH: Refusal(
        "The message key is not what the event is about, in UTF-8.",
        "Use the `order_id` as key; for StockAdjusted the sku.",
        _EVERY,
    ),
    Reason.INVALID_FIELD: Refusal(
        "A field is out of its bounds, or two fields contradict each other.",
        "Read the dead letter's `kafka_dlt-exception-message`: it names the field. Correct it and publish again.",
        _EVERY,
    ),
    Reason.TOTAL_MISMATCH: Refusal(
        "`total_minor` is not what its parts make.", "Correct the sum and publish the order again.", _ORDERS
    ),
    Reason.UNKNOWN_CURRENCY: Refusal(
        "currency is no ISO 4217 code with a minor unit.", "Correct it and publish the order again.", _ORDERS
    ),
    Reason.AMOUNT_LIMIT: Refusal(
        "`total_minor` is above the limit of its currency.",
        "If the order is real, ask the operators to raise `PAYMENTS_AMOUNT_MAX_MINOR`, then to redrive it.",
        _ORDERS,
    ),
    Reason.CARD_NUMBER: Refusal(
        "A text is or contains what looks like a card number. It is masked everywhere.",
        "Find out how it came there. Send the gateway's token, and no card data in any text.",
        (*_METHODS, *_REQUESTS, *_STOCK),
    ),
    Reason.CONFLICT: Refusal(
        "The `event_id`, `order_id` or `request_id` is known with other content.",
        "Nothing was done for this message. Publish what is new under an id of its own.",
        _EVERY,
    ),
    Reason.UNKNOWN_ORDER: Refusal(
        "Its order did not come within `PAYMENTS_EARLY_WAIT_S`.",
        "Find out what became of the order's OrderConfirmed; then ask the operators to redrive it.",
        _LATER,
    ),
    Reason.TOO_OLD: Refusal(
        "It happened longer ago than `PAYMENTS_INBOX_RETENTION_DAYS`, so a copy of it could not be recognized.",
        "Publish it anew, with a new `event_id` and time, if it still matters.",
        _EVERY,
    ),
    Reason.FROM_THE_FUTURE: Refusal(
        "`occurred_at` is later than our clock by more than `PAYMENTS_CLOCK_SKEW_MAX_S`.",
        "Set your clock right, and publish it again.",
        _EVERY,
    ),
    Reason.ILLEGAL_TRANSITION: Refusal(
        "`after_attempt` names an attempt that was not made, or the order has too many requests already.",
        "Take `after_attempt` from PaymentFailed. Find out who asks so often.",
        ("PaymentRetryRequested", *_REQUESTS),
    ),
    Reason.STOCK_SHORT: Refusal(
        "The delta would take what is available below zero. It was not applied.",
        "Find out which side is wrong. When there are enough units, the operators redrive it.",
        _STOCK,
    ),
    Reason.QUARANTINED: Refusal(
        "Our release raised an error at this message. Later messages of the order wait behind it.",
        "Nothing: our operators redrive it after a fix.",
        _EVERY,
    ),
    Reason.UNREADABLE: Refusal(
        "No client could read a stretch of the partition, and an operator passed over it. The copy has no body.",
        "Publish again what was in it: topic, partition and offsets are in its headers.",
        _EVERY,
    ),
}
"""By the value of the header `payments_reason`."""


def refusals_on(event_type: str) -> dict[Reason, Refusal]:
    """Return why messages on this event's topic may be refused; empty for a topic of ours."""
    return {reason: refusal for reason, refusal in REFUSALS.items() if event_type in refusal.topics}
