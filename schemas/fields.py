"""The types of the fields of events, each with its bounds, and the enumerations.

Text from outside never contains control characters: PostgreSQL cannot store NUL, and a log line must stay one line.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticKnownError

INT_MAX: Final = 2**31 - 1
LONG_MAX: Final = 2**63 - 1
LINES_MAX: Final = 1000
"""Limits what one order can lock and reserve. No checkout sells more lines at once."""
UNITS_MAX: Final = LINES_MAX * INT_MAX
"""The largest sum over the lines of one order, if all are of one SKU."""
LARGEST_EVENT_BYTES: Final = 300_000
"""No event of ours is larger, even with 1000 lines and the longest texts. A test builds the largest of each type."""

REFERENCE_LENGTH_MAX: Final = 255
HIDDEN: Final = "*" * 16
"""In place of a payment token, in copies of messages. No gateway has such a token."""
SKU_LENGTH_MAX: Final = 64
URL_LENGTH_MAX: Final = 2_048

_PRINTABLE: Final = r"^[^\p{Cc}]*$"


def _in_utc(value: datetime) -> datetime:
    """Convert an aware time to UTC; refuse any other, as pydantic's AwareDatetime does."""
    if value.tzinfo is UTC:  # as all of ours: at once, for every event has some
        return value
    if value.utcoffset() is None:
        raise PydanticKnownError("timezone_aware")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("The time is outside the years 1 to 9999.") from None


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""An aware time in UTC, to the microsecond."""

Id = UUID
OrderIdText = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,64}$")]
CorrelationText = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=_PRINTABLE)]
CustomerText = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_PRINTABLE)]
SkuText = Annotated[str, StringConstraints(min_length=1, max_length=SKU_LENGTH_MAX, pattern=_PRINTABLE)]
TokenText = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=_PRINTABLE)]
GatewayCustomerText = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,255}$")]
"""The gateway's id of a customer. No such id has blanks; they are let in so that a card number is refused as one."""
ReferenceText = Annotated[str, StringConstraints(min_length=1, max_length=REFERENCE_LENGTH_MAX, pattern=_PRINTABLE)]
"""An id that the gateway gave."""
CodeText = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]
SentenceText = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_PRINTABLE)]
UrlText = Annotated[str, StringConstraints(max_length=URL_LENGTH_MAX, pattern=r"^https?://[!-~]+$")]
"""Where a customer is sent."""
CurrencyText = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
AnyCurrencyText = Annotated[str, StringConstraints(max_length=64, pattern=_PRINTABLE)]
"""A currency as upstream wrote it; schemas.checks checks that it exists."""

RequestIdText = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_PRINTABLE)]
"""How whoever asks names a request about an order."""
RequesterText = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_PRINTABLE)]
"""Who asks, as the publisher knows them."""

Amount = Annotated[int, Field(strict=True, ge=0, le=LONG_MAX)]
"""Minor units of the currency beside it; never negative."""
AskedAmount = Annotated[int, Field(strict=True, ge=1, le=LONG_MAX)]
"""Minor units that somebody asks us to move: not nothing."""
Quantity = Annotated[int, Field(strict=True, ge=1, le=INT_MAX)]
"""Whole units of one line. schemas.checks applies the same bound to the sum over an order's lines of one SKU."""
Units = Annotated[int, Field(strict=True, ge=1, le=UNITS_MAX)]
"""Whole units of one SKU over all lines of an order, in events of ours.

The bound is wider than that of schemas.checks: an order from before that check must still be finished.
"""
Delta = Annotated[int, Field(strict=True, ge=-UNITS_MAX, le=UNITS_MAX)]
"""Whole units of one SKU that come in or, negative, go out."""
ReasonText = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_PRINTABLE)]
"""Why somebody upstream did something, in their words. No card number may stand in it."""
Available = Annotated[int, Field(strict=True, ge=0, le=LONG_MAX)]
Attempt = Annotated[int, Field(strict=True, ge=1, le=INT_MAX)]
Version = Annotated[int, Field(strict=True, ge=1, le=LONG_MAX)]
Ordinal = Annotated[int, Field(strict=True, ge=0, le=INT_MAX)]
Flag = Annotated[bool, Field(strict=True)]


class PaymentMethodKind(StrEnum):
    """The family of a payment method. OTHER: one that this release does not know."""

    CARD = "CARD"
    WALLET = "WALLET"
    BANK = "BANK"
    OTHER = "OTHER"


class Stage(StrEnum):
    """Where an attempt failed. UNSPECIFIED, here and below: a value of a newer release; do not act on it."""

    AUTHORIZE = "AUTHORIZE"
    RESERVE = "RESERVE"
    CAPTURE = "CAPTURE"
    UNSPECIFIED = "UNSPECIFIED"


class ActionKind(StrEnum):
    """How a customer confirms a payment: by going to an address, or with the gateway's own script."""

    REDIRECT = "REDIRECT"
    CONFIRM = "CONFIRM"
    UNSPECIFIED = "UNSPECIFIED"


class DisputeOutcome(StrEnum):
    """How a dispute ended."""

    WON = "WON"
    LOST = "LOST"
    PREVENTED = "PREVENTED"
    WARNING_CLOSED = "WARNING_CLOSED"
    UNSPECIFIED = "UNSPECIFIED"


class MoneyState(StrEnum):
    """Where the customer's money is when a payment failed or a notification is sent."""

    NONE = "NONE"
    HELD = "HELD"
    RETURNING = "RETURNING"
    RETURNED = "RETURNED"
    UNSPECIFIED = "UNSPECIFIED"


class ReviewMoney(StrEnum):
    """Where the customer's money is, as far as we know, when a person has to look."""

    NONE = "NONE"
    HELD = "HELD"
    CAPTURED = "CAPTURED"
    UNKNOWN = "UNKNOWN"
    UNSPECIFIED = "UNSPECIFIED"


class ShortageReason(StrEnum):
    """Why the items cannot be held."""

    SHORT = "SHORT"
    UNKNOWN_SKU = "UNKNOWN_SKU"
    LAPSED = "LAPSED"
    UNSPECIFIED = "UNSPECIFIED"


class RefundRefusal(StrEnum):
    """Why a refund that was asked for is not made."""

    NOT_PAID = "NOT_PAID"
    EXCEEDS_KEPT = "EXCEEDS_KEPT"
    DISPUTED = "DISPUTED"
    IN_REVIEW = "IN_REVIEW"
    CANCELLED = "CANCELLED"
    NOT_APPROVED = "NOT_APPROVED"
    EXCEEDS_SOLD = "EXCEEDS_SOLD"
    UNSPECIFIED = "UNSPECIFIED"


class CancellationRefusal(StrEnum):
    """Why a cancel is refused."""

    PREPARATION_STARTED = "PREPARATION_STARTED"
    TOO_LATE = "TOO_LATE"
    ALREADY_CANCELLED = "ALREADY_CANCELLED"
    PAYMENT_FAILED = "PAYMENT_FAILED"
    DISPUTED = "DISPUTED"
    NOT_APPROVED = "NOT_APPROVED"
    UNSPECIFIED = "UNSPECIFIED"


class NotificationKind(StrEnum):
    """What the message to the customer is about."""

    PAYMENT_FAILED = "PAYMENT_FAILED"
    ITEMS_UNAVAILABLE = "ITEMS_UNAVAILABLE"
    RETRY_REFUSED = "RETRY_REFUSED"
    PAYMENT_DELAYED = "PAYMENT_DELAYED"
    REFUNDED = "REFUNDED"
    ACTION_REQUIRED = "ACTION_REQUIRED"
    CANCELLED = "CANCELLED"
    CANCELLATION_REFUSED = "CANCELLATION_REFUSED"
    UNSPECIFIED = "UNSPECIFIED"


class ReviewOperation(StrEnum):
    """The call at the gateway that a person has to look at."""

    AUTHORIZE = "AUTHORIZE"
    CAPTURE = "CAPTURE"
    VOID = "VOID"
    REFUND = "REFUND"
    NONE = "NONE"
    UNSPECIFIED = "UNSPECIFIED"
