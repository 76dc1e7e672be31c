"""The base classes of events, and the records inside events."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from schemas.fields import (
    LINES_MAX,
    Amount,
    Available,
    CorrelationText,
    Flag,
    GatewayCustomerText,
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
    """An immutable value. Errors never quote the input, for it may contain a token."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Line(Record):
    """One line of an order: whole units, and the price of one in the order's minor unit."""

    sku: SkuText
    quantity: Quantity
    unit_price_minor: Amount


class Item(Record):
    """Whole units of one SKU."""

    sku: SkuText
    quantity: Units


Items = Annotated[tuple[Item, ...], Field(max_length=LINES_MAX)]


class MissingItem(Record):
    """One SKU that could not be reserved, in whole units. available: None if the SKU is unknown."""

    sku: SkuText
    requested: Units
    available: Available | None = None


class PaymentMethod(Record):
    """What the customer pays with. The token is opaque; repr() shows neither it nor the gateway's id of the customer.

    gateway_customer_id: whose saved method it is; None if it is not saved. off_session: the customer is away.
    """

    kind: PaymentMethodKind
    token: Annotated[TokenText, Field(repr=False)]
    gateway_customer_id: Annotated[GatewayCustomerText | None, Field(repr=False)] = None
    off_session: Flag = False


class Event(Record):
    """A fact about one subject: an order, or a SKU. TYPE: the name of the event and of its schema and topic.

    A topic's name has the prefix before it. correlation_id: the same for all events of a subject's story.
    """

    TYPE: ClassVar[str]

    event_id: Id
    occurred_at: Moment
    if TYPE_CHECKING:
        # Every event has these. They stand where its schema has them: behind the order's id, if there is one.
        correlation_id: CorrelationText
        causation_id: Id | None

    @property
    @abstractmethod
    def subject(self) -> str:
        """What it is about: the message key, and CloudEvents' subject."""


class OrderEvent(Event):
    """A fact about one order."""

    order_id: OrderIdText
    correlation_id: CorrelationText
    causation_id: Id | None = None

    @property
    def subject(self) -> str:
        """The order's id."""
        return self.order_id


AnEvent = TypeVar("AnEvent", bound=Event)


def validate(kind: type[AnEvent], fields: Mapping[str, Any]) -> AnEvent:
    """Build an event from its fields. Faster than model_validate, which also handles options that we never give.

    Raises pydantic's ValidationError.
    """
    return kind.__pydantic_validator__.validate_python(fields)  # type: ignore[no-any-return]


class UpstreamEvent(OrderEvent):
    """A fact that checkout or the storefront publishes."""


class OwnEvent(OrderEvent):
    """A fact that this module publishes. (order_version, ordinal) sorts all events of an order, across topics."""

    order_version: Version
    ordinal: Ordinal
