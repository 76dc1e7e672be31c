"""What the inventory's contract wants of a call: method, path and body (pure).

The contract is deploy/contracts/inventory.openapi.yaml.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from domain.lines import OrderLine
from domain.operation import OperationKind
from domain.stock_calls import StockCall

ABOUT: Final = "/v1"
BATCH: Final = "/v1/batch"
_FRAME_BYTES: Final = 400
"""What stands around a body in a batch: names, the key, the id."""
_FIRST: Final = {
    # What gives goods back comes first, so that what takes some finds them.
    OperationKind.RELEASE: 0,
    OperationKind.RESTOCK: 1,
    OperationKind.CONFIRM: 2,
    OperationKind.EXTEND: 3,
    OperationKind.RESERVE: 4,
}


class Form(NamedTuple):
    """A request. look_up: the path that shows what became of it."""

    method: str
    path: str
    look_up: str
    thing: str
    body: dict[str, Any]


def form_of(call: StockCall) -> Form:
    """Return the request of a call."""
    hold = f"/v1/holds/{call.reservation_id}"
    plain: dict[str, Any] = {"order_id": call.order_id}
    match call.kind:
        case OperationKind.RESERVE:
            body = {**plain, "lines": lines_of(call.lines), "until": moment_of(call.until)}
            return Form("PUT", hold, hold, str(call.reservation_id), body)
        case OperationKind.EXTEND:
            body = {**plain, "until": moment_of(call.until)}
            return Form("POST", f"{hold}/extend", hold, str(call.reservation_id), body)
        case OperationKind.CONFIRM | OperationKind.RELEASE:
            return Form("POST", f"{hold}/{call.kind}", hold, str(call.reservation_id), plain)
        case OperationKind.RESTOCK:
            restock = f"/v1/restocks/{call.restock_id}"
            body = {
                "reservation_id": str(call.reservation_id),
                **plain,
                "request_id": call.request_id,
                "lines": lines_of(call.lines),
            }
            return Form("POST", restock, restock, str(call.restock_id), body)
        case _:
            raise AssertionError(f"{call.kind} is for the gateway")


def batch_of(calls: Sequence[StockCall]) -> dict[str, Any]:
    """Return the body of a batch."""
    forms = [(call, form_of(call)) for call in calls]
    return {
        "calls": [
            {"call": str(call.kind), "key": call.idempotency_key, "id": form.thing, "body": form.body}
            for call, form in forms
        ]
    }


def portions(calls: Sequence[StockCall], most: int, bytes_max: int) -> Iterator[Sequence[StockCall]]:
    """Cut calls into portions of one request each: no two about the same hold, no more and no larger than is taken.

    most: calls in a batch; 0: there are none. bytes_max: of a body.
    """
    left = sorted(calls, key=lambda call: _FIRST[call.kind])
    while left:
        taken: list[StockCall] = []
        later: list[StockCall] = []
        things: set[str] = set()
        size = 0
        for call in left:
            form = form_of(call)
            bytes_of_it = len(orjson.dumps(form.body)) + _FRAME_BYTES
            fits = len(taken) < most and size + bytes_of_it <= bytes_max and form.thing not in things
            if taken and not fits:
                later.append(call)
                continue
            taken.append(call)
            things.add(form.thing)
            size += bytes_of_it
        yield taken
        left = later


def lines_of(lines: Sequence[OrderLine]) -> list[dict[str, Any]]:
    """Return lines as the contract has them."""
    return [{"sku": line.sku, "quantity": line.quantity} for line in lines]


def moment_of(at: datetime | None) -> str:
    """Return a time as the contract has it: UTC, with a Z."""
    assert at is not None
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
