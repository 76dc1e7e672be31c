"""What every event shares, and the records that events are built of."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from schemas.fields import (
    Amount,
    Available,
    CorrelationText,
    Id,
    Moment,
    OrderIdText,
    Ordinal,
    PaymentMethodKind,
    Quantity,
    SkuText,
    TokenText,
    Units,
    Version,
)


class Record(BaseModel):
    """A value that never changes. Errors never quote the input, for it may hold a token."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Line(Record):
    """One line of an order: whole units at a price each, in the order's minor unit."""

    sku: SkuText
    quantity: Quantity
    unit_price_minor: Amount


class Item(Record):
    """Whole units of one SKU."""

    sku: SkuText
    quantity: Units


class MissingItem(Record):
    """One SKU that could not be had, in whole units; available is None when the SKU is unknown."""

    sku: SkuText
    requested: Units
    available: Available | None = None


class PaymentMethod(Record):
    """What the customer pays with. The token is opaque and is shown in no representation."""

    kind: PaymentMethodKind
    token: Annotated[TokenText, Field(repr=False)]


class Event(Record):
    """A fact about one order. TYPE is its name, that of its schema and, behind the prefix, that of its topic."""

    TYPE: ClassVar[str]

    event_id: Id
    occurred_at: Moment
    order_id: OrderIdText
    correlation_id: CorrelationText
    causation_id: Id | None = None


AnEvent = TypeVar("AnEvent", bound=Event)


def validate(kind: type[AnEvent], fields: Mapping[str, Any]) -> AnEvent:
    """Make an event of its fields, as model_validate does, without its look at options that nobody gives.

    Raises pydantic's ValidationError.
    """
    return kind.__pydantic_validator__.validate_python(fields)  # type: ignore[no-any-return]


class UpstreamEvent(Event):
    """A fact that checkout or the storefront tells us."""


class OwnEvent(Event):
    """A fact that this module tells. (order_version, ordinal) orders all of an order's, across topics."""

    order_version: Version
    ordinal: Ordinal
