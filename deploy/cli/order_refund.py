"""`payments order refund` and `payments order approve`: an operator gives money back, and a second one says yes."""

from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from deploy.cli.common import answer, json_option, settings_with_schema
from deploy.cli.words import STATES, check_words, not_taken, not_there, os_user, person, unfit
from deploy.failures import Failure
from deploy.running import id_source, now, run
from deploy.settings import Settings
from domain.approval import Person
from domain.ids import OrderId
from domain.requests import Request, RequestKind, RequestState, find
from domain.ruling import No
from schemas.events import RefundRequested
from schemas.money import Money

if TYPE_CHECKING:
    from consumers.runtime.asking import Asked

REFUNDS = "refund_payment"
"""The reaction whose rows decide."""
REFUSED = {
    "NOT_PAID": "it is not paid",
    "EXCEEDS_KEPT": "less than that is kept of it",
    "DISPUTED": "its payment is disputed; the gateway allows no refund",
    "IN_REVIEW": "it is under review: `payments order resolve` ends that first",
    "CANCELLED": "it is cancelled, and its money goes back anyway",
    "NOT_APPROVED": "no second person approved it in time",
    "EXCEEDS_SOLD": "it has fewer units that were sold and are not back: look at --restock",
}


NOTHING_KEPT = "nothing is kept of it any more, or what is kept is on its way back"
"""In place of EXCEEDS_KEPT for a refund of all."""


@click.command(short_help="Give back money of a paid order, some or all.")
@click.argument("order_id", metavar="ID")
@click.option("--amount", type=click.IntRange(1), help="In minor units.  [default: all that is kept]")
@click.option("--restock", multiple=True, metavar="SKU=N", help="Units that go back into stock; may be repeated.")
@click.option("--reason", callback=check_words, required=True, help="Why; kept with the order.")
@click.option("--by", callback=check_words, help="Who asks, for people to read.  [default: the OS user]")
@click.option(
    "--request-id",
    callback=check_words,
    help="Names the request: repeated, it has no further effect.  [default: new]",
)
@json_option
def refund(
    *,
    order_id: str,
    amount: int | None,
    restock: tuple[str, ...],
    reason: str,
    by: str | None,
    request_id: str | None,
    as_json: bool,
) -> None:
    """Give back money of the paid order ID, as a RefundRequested does; the customer is told the amount.

    What is under way ends first. Above PAYMENTS_FOUR_EYES_MINOR it waits for `payments order approve` by somebody else.
    It ends with 0 if the money is on its way or waits, with 1 if the refund is refused.
    """
    settings = settings_with_schema()
    wanted = _request(order_id, request_id, amount, restock, reason, by or os_user())
    asked = run(_ask(settings, wanted, person(settings, by)))
    if asked is None:
        raise not_there(settings, order_id)
    if asked.refused is not None:
        raise not_taken(order_id, wanted.request_id, asked.refused, asked.detail)
    known = find(asked.after.requests, RequestKind.REFUND, wanted.request_id)
    assert known is not None
    _tell(asked, known, as_json=as_json)


@click.command(short_help="Say yes to a request, as its second person.")
@click.argument("order_id", metavar="ID")
@click.argument("request_id", metavar="REQUEST_ID")
@click.option("--by", callback=check_words, help="Your name, for people to read; who you are is known without it.")
@json_option
def approve(*, order_id: str, request_id: str, by: str | None, as_json: bool) -> None:
    """Say yes to request REQUEST_ID of order ID, which waits for a second person.

    You must be another OS user or database role than the one who asked. What nobody approves in seven days is refused.
    """
    settings = settings_with_schema()
    asked = run(_approve(settings, OrderId(order_id), request_id, person(settings, by)))
    if asked is None:
        raise Failure(f"there is no order {order_id}: `payments order list --approval` shows what waits")
    if isinstance(asked, No):
        raise Failure(asked.why)
    known = next(r for r in asked.after.requests if r.request_id == request_id)
    _tell(asked, known, as_json=as_json)


def _request(
    order_id: str, request_id: str | None, amount: int | None, restock: tuple[str, ...], reason: str, by: str
) -> RefundRequested:
    """Make the event that is planned and never published. Raises if a field cannot be right."""
    lines = [_line(text) for text in restock]
    for line in lines:
        if sum(line["sku"] == other["sku"] for other in lines) > 1:
            raise click.UsageError(f"--restock names {line['sku']} more than once: write its units once, in all")
    event_id = id_source()()
    try:
        return RefundRequested.model_validate(
            {
                "event_id": event_id,
                "occurred_at": now(),
                "order_id": order_id,
                "correlation_id": "payments order refund",
                "request_id": request_id or f"command-{event_id}",
                "amount_minor": amount,
                "reason": reason,
                "lines": lines,
                "requested_by": by,
            }
        )
    except ValidationError as error:
        raise unfit(error, order_id) from None


def _line(text: str) -> dict[str, object]:
    sku, equals, units = text.rpartition("=")
    number = units.isascii() and units.isdecimal() and len(units) <= 10
    if not equals or not sku or not number or int(units) == 0:
        raise click.UsageError(f"--restock {text}: write SKU=N, with N whole units, 1 at least")
    return {"sku": sku, "quantity": int(units)}


async def _ask(settings: Settings, request: RefundRequested, who: Person) -> "Asked | None":
    from deploy.wiring import asker_of  # noqa: PLC0415 - loads the gateway's client, which `show` does not need

    async with asker_of(settings) as asker:
        return await asker.ask(REFUNDS, request, who.identity)


async def _approve(settings: Settings, order_id: OrderId, request_id: str, who: Person) -> "Asked | No | None":
    from deploy.wiring import asker_of  # noqa: PLC0415 - as above

    async with asker_of(settings) as asker:
        return await asker.approve(order_id, request_id, who)


def _tell(asked: "Asked", request: Request, *, as_json: bool) -> None:
    """Print what became of the request. Raises Failure if it is refused."""
    order_id = asked.after.order_id
    document = {
        "order_id": order_id,
        "request_id": request.request_id,
        "kind": request.kind.value,
        "amount_minor": request.amount_minor,
        "taken_minor": request.taken_minor,
        "currency": asked.after.currency,
        "lines": [{"sku": line.sku, "quantity": line.quantity} for line in request.lines],
        "reason": request.reason,
        "requested_by": request.requested_by,
        "operator": request.operator,
        "approved_by": request.approved_by,
        "new": asked.new,
        "state": request.state.value,
        "refused": request.refused,
        "status": asked.after.status.value,
        "version": asked.after.version,
        "events": [{"event_id": event.event_id, "type": event.TYPE} for event in asked.events],
        "operations": [
            {"id": o.operation_id, "attempt": o.attempt, "kind": o.kind.value, "state": o.state.value}
            for o in asked.after.operations
        ],
    }
    answer(document, _lines(document), as_json=as_json)
    if request.state is RequestState.REFUSED:
        none_kept = request.refused == "EXCEEDS_KEPT" and request.amount_minor is None
        why = NOTHING_KEPT if none_kept else REFUSED.get(request.refused or "", request.refused)
        raise Failure(f"request {request.request_id} of order {order_id} is refused: {why}")


def _lines(document: dict[str, Any]) -> list[str]:
    order_id, request_id, state = document["order_id"], document["request_id"], document["state"]
    if state == RequestState.REFUSED.value:
        return []
    again = "" if document["new"] else " (asked for before)"
    taken = "" if document["taken_minor"] is None else f", {Money(document['taken_minor'], document['currency'])}"
    lines = [f"{order_id}: {document['kind']} {request_id} is {STATES.get(state, state)}{taken}{again}"]
    lines += [f"  {event['type']}" for event in document["events"]]
    match state:
        case RequestState.APPROVAL.value:
            lines.append(f"  next: somebody else runs `payments order approve {order_id} {request_id}`")
        case RequestState.WAITING.value:
            lines.append("  next: something else of the order is under way, and this comes behind it")
        case RequestState.TAKEN.value:
            lines.append("  next: the sweep has the gateway give the money back, and the customer is told")
    return lines
