"""What callers send, checked against the contract: nothing is converted, nothing unknown is let in."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from deploy.stockhouse.problems import invalid, malformed
from schemas.fields import LINES_MAX, UNITS_MAX, OrderIdText, SkuText

_PRINTABLE: Final = r"^[^\p{Cc}]*$"
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
ERRORS_MAX: Final = 20
KEY: Final = re.compile(r"[!-~]{1,255}")
UNITS_MOST: Final = 2**53 - 1
"""Larger whole numbers are not the same in every JSON library."""


class CallKind(StrEnum):
    """The calls that change something, by their operationId."""

    RESERVE = "reserve"
    CONFIRM = "confirm"
    RELEASE = "release"
    EXTEND = "extend"
    RESTOCK = "restock"


def moment(text: object) -> datetime:
    """Read a time. Raises ValueError unless it is RFC 3339 in UTC with a Z."""
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        raise ValueError("a time is YYYY-MM-DDTHH:MM:SS.ffffffZ")
    return datetime.fromisoformat(text)


def _each_once(lines: "list[Line]") -> "list[Line]":
    if len({line.sku for line in lines}) < len(lines):
        raise ValueError("each SKU is there once")
    return lines


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Line(_Body):
    """Whole units of one SKU."""

    sku: SkuText
    quantity: Annotated[int, Field(ge=1, le=UNITS_MAX)]


IdText = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
Moment = Annotated[datetime, BeforeValidator(moment)]
Lines = Annotated[list[Line], Field(min_length=1, max_length=LINES_MAX), AfterValidator(_each_once)]
RequestIdText = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_PRINTABLE)]


class Plain(_Body):
    """The body of a confirm and of a release."""

    order_id: OrderIdText


class Extend(Plain):
    """The body of an extend."""

    until: Moment


class Reserve(Extend):
    """The body of a reserve."""

    lines: Lines

    @property
    def units(self) -> dict[str, int]:
        """Return whole units by SKU, in the order of the SKUs."""
        return units_of(self.lines)


class Restock(Plain):
    """The body of a restock."""

    reservation_id: IdText
    request_id: RequestIdText | None
    lines: Lines

    @property
    def units(self) -> dict[str, int]:
        """Return whole units by SKU, in the order of the SKUs."""
        return units_of(self.lines)


class Call(_Body):
    """A call in a batch. Its body is checked as if it came alone."""

    call: Annotated[CallKind, Field(strict=False)]
    key: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,255}$")]
    id: IdText
    body: dict[str, Any]


class Batch(_Body):
    """Many calls."""

    calls: Annotated[list[Call], Field(min_length=1)]


B = TypeVar("B", bound=BaseModel)


def check(kind: type[B], document: object) -> B:
    """Check a body. Raises Problem that names what is wrong."""
    try:
        return kind.model_validate(document)
    except ValidationError as wrong:
        listed = wrong.errors(include_url=False, include_context=False, include_input=False)[:ERRORS_MAX]
        raise invalid({_pointer(error["loc"]): error["msg"] for error in listed}) from None


def read(body: bytes) -> Any:
    """Read JSON. Raises Problem if it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise malformed("The body is no JSON.") from None


def units_of(lines: Sequence[Line]) -> dict[str, int]:
    """Return whole units by SKU, in the order of the SKUs."""
    return {line.sku: line.quantity for line in sorted(lines, key=lambda line: line.sku)}


def lines_of(units: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return whole units by SKU as lines."""
    return [{"sku": sku, "quantity": quantity} for sku, quantity in units.items()]


def written(at: datetime) -> str:
    """Write a time as the contract has it."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _pointer(place: Sequence[int | str]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in place)
