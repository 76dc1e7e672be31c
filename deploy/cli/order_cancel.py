"""`payments order cancel`: an operator cancels an order, as its customer can."""

from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from deploy.cli.common import answer, json_option, settings_with_schema
from deploy.cli.words import STATES, check_words, not_taken, not_there, os_user, person, unfit
from deploy.failures import Failure
from deploy.running import id_source, now, run
from deploy.settings import Settings
from domain.order import Status
from domain.requests import RequestKind, RequestState, find
from schemas.events import OrderCancelRequested

if TYPE_CHECKING:
    from consumers.runtime.asking import Asked

CANCELS = "cancel_order"
"""The reaction whose rows decide."""
REFUSED = {
    "PREPARATION_STARTED": "its preparation has begun",
    "TOO_LATE": "it was paid too long ago (PAYMENTS_CANCEL_WINDOW_S): `payments order refund` gives money back",
    "ALREADY_CANCELLED": "it is cancelled already",
    "PAYMENT_FAILED": "its payment has failed for good",
    "DISPUTED": "its payment is disputed; the gateway allows no refund",
}


@click.command(short_help="Cancel an order; its money goes back.")
@click.argument("order_id", metavar="ID")
@click.option("--reason", callback=check_words, required=True, help="Why; kept with the order.")
@click.option("--by", callback=check_words, help="Who asks.  [default: the OS user]")
@click.option(
    "--request-id",
    callback=check_words,
    help="Names the request: repeated, it has no further effect.  [default: new]",
)
@json_option
def cancel(*, order_id: str, reason: str, by: str | None, request_id: str | None, as_json: bool) -> None:
    """Cancel order ID, as an OrderCancelRequested does: its money goes back, and the customer is told.

    What is under way ends first. It ends with 0 if the order is cancelled or will be, with 1 if it is refused: it was
    paid too long ago, its preparation has begun, it is cancelled already.
    """
    settings = settings_with_schema()
    asked_for = _request(order_id, request_id, reason, by or os_user())
    asked = run(_ask(settings, asked_for))
    if asked is None:
        raise not_there(settings, order_id)
    if asked.refused is not None:
        raise not_taken(order_id, asked_for.request_id, asked.refused, asked.detail)
    document = _document(asked, asked_for)
    answer(document, _lines(document), as_json=as_json)
    if document["state"] == RequestState.REFUSED.value:
        raise Failure(f"order {order_id} is not cancelled: {REFUSED.get(document['refused'], document['refused'])}")


def _request(order_id: str, request_id: str | None, reason: str, by: str) -> OrderCancelRequested:
    """Make the event that is planned and never published. Raises if a field cannot be right."""
    event_id = id_source()()
    try:
        return OrderCancelRequested(
            event_id=event_id,
            occurred_at=now(),
            order_id=order_id,
            correlation_id="payments order cancel",
            request_id=request_id or f"command-{event_id}",
            reason=reason,
            requested_by=by,
        )
    except ValidationError as error:
        raise unfit(error, order_id) from None


async def _ask(settings: Settings, request: OrderCancelRequested) -> "Asked | None":
    from deploy.wiring import asker_of  # noqa: PLC0415 - loads the gateway's client, which `show` does not need

    async with asker_of(settings) as asker:
        return await asker.ask(CANCELS, request, person(settings).identity)


def _document(asked: "Asked", request: OrderCancelRequested) -> dict[str, Any]:
    known = find(asked.after.requests, RequestKind.CANCEL, request.request_id)
    assert known is not None
    return {
        "order_id": request.order_id,
        "request_id": request.request_id,
        "reason": request.reason,
        "by": request.requested_by,
        "operator": known.operator,
        "new": asked.new,
        "state": known.state.value,
        "refused": known.refused,
        "status": asked.after.status.value,
        "version": asked.after.version,
        "events": [{"event_id": event.event_id, "type": event.TYPE} for event in asked.events],
        "operations": [
            {"id": o.operation_id, "attempt": o.attempt, "kind": o.kind.value, "state": o.state.value}
            for o in asked.after.operations
        ],
    }


def _lines(document: dict[str, Any]) -> list[str]:
    order_id, state = document["order_id"], document["state"]
    if state == RequestState.REFUSED.value:
        return []
    again = "" if document["new"] else " (asked for before)"
    lines = [f"{order_id}: cancel {document['request_id']} is {STATES.get(state, state)}{again}"]
    lines += [f"  {event['type']}" for event in document["events"]]
    under_way = [o["kind"] for o in document["operations"] if o["state"] in {"open", "unknown", "pending"}]
    if document["status"] == Status.CANCELLED.value:
        lines.append("  the order is cancelled")
    elif state == RequestState.APPROVAL.value:
        lines.append(f"  next: somebody else runs `payments order approve {order_id} {document['request_id']}`")
    elif under_way:
        lines.append(f"  next: the {under_way[-1]} is made or awaited, and the order is cancelled with its answer")
    else:
        lines.append(f"  next: `payments order resolve {order_id}` ends its review, and the order is cancelled then")
    return lines
