"""`payments order resolve`: an operator rules on an order under review."""

from typing import TYPE_CHECKING, Any

import click

from deploy.cli.common import answer, json_option, say, settings_with_schema
from deploy.cli.words import check_words, os_user, person
from deploy.failures import Failure
from deploy.running import run
from deploy.settings import Settings
from deploy.views.times import moment
from domain.ids import OrderId
from domain.operation import GATEWAY_KINDS, UNFINISHED, OperationKind
from domain.ruling import No, Ruling, Word
from domain.values import replace
from outbox.operators.queries import OrderRows, Record, last_resolution, read_order, snapshot, time_of

if TYPE_CHECKING:
    from consumers.runtime.resolving import Resolved
    from domain.ports.gateway import GatewayReferences


@click.command(short_help="End the review of an order.")
@click.argument("order_id", metavar="ID")
@click.option(
    "--as", "word", type=click.Choice([word.value for word in Word]), required=True, help="What you found out."
)
@click.option(
    "--reference",
    callback=check_words,
    help="The gateway's id of what was made: pi_..., re_...; outside:TEXT for money that went back past it.",
)
@click.option("--reason", callback=check_words, required=True, help="Why you say so; kept with the order.")
@click.option("--by", callback=check_words, help="Who says so.  [default: the OS user]")
@click.option("--dry-run", is_flag=True, help="Show what it would do, and change nothing.")
@json_option
def resolve(
    *, order_id: str, word: str, reference: str | None, reason: str, by: str | None, dry_run: bool, as_json: bool
) -> None:
    """Settle order ID, which is in manual review, by saying whether the call in question was executed.

    Look the payment up at the gateway first. What either answer does for each reason stands in deploy/README.md. An
    order that was stuck has no call: `executed` goes on with it, `not-executed` gives the money back.
    """
    settings = settings_with_schema()
    ruling = Ruling(Word(word), reason, by or os_user(), reference, person(settings, by))
    found = run(_resolve(settings, OrderId(order_id), ruling, try_only=dry_run))
    if found is None:
        raise Failure(f"there is no order {order_id}: `payments order list --status manual_review` shows them")
    if isinstance(found, No):
        raise Failure(found.why + _earlier_ruling(settings, order_id))
    if ruling.word is Word.EXECUTED and reference and settings.gateway in {None, "simulated"}:
        say(f"{reference} was not looked up at the gateway: PAYMENTS_GATEWAY is {settings.gateway or 'not set'}")
    document = _document(order_id, ruling, found, dry_run=dry_run)
    answer(document, _lines(document), as_json=as_json)


async def _resolve(settings: Settings, order_id: OrderId, ruling: Ruling, *, try_only: bool) -> "Resolved | No | None":
    from deploy.wiring import resolver_of  # noqa: PLC0415 - loads the gateway's client, which `show` does not need

    looked = await _look(settings, order_id, ruling)
    if isinstance(looked, No):
        return looked
    async with resolver_of(settings) as resolver:
        return await resolver.resolve(order_id, looked, try_only=try_only)


async def _refuse_strange(references: "GatewayReferences", order_id: OrderId, said: str) -> No | None:
    """Ask the gateway whether a given id is of this order: a typing error could not be undone."""
    of = await references.order_of(said)
    if of is None:
        return No(f"the gateway has nothing of the id {said}: copy it from there")
    return No(f"{said} is of order {of} at the gateway") if of not in {"", order_id} else None


async def _look(settings: Settings, order_id: OrderId, ruling: Ruling) -> Ruling | No:
    """Return the ruling with what the gateway has of the order now, if it is about a call there that moves money.

    Of what was not executed only a refund may be made twice by that word.
    """
    from consumers.adapters.gateway.references import could_name  # noqa: PLC0415 - as above
    from deploy.gateways import references_of  # noqa: PLC0415 - as above

    with snapshot(settings.sqlalchemy_url()) as connection:
        known, asked_at = read_order(connection, order_id), time_of(connection)
    said = ruling.reference or ""
    at_gateway = ruling.word is Word.EXECUTED and any(could_name(kind, said) for kind in GATEWAY_KINDS)
    if known is None or not (at_gateway or _asks_gateway(known, ruling.word)):
        return ruling
    wanted = {a["transaction_id"] for a in known.attempts} | {o["transaction_id"] for o in known.operations}
    if at_gateway and could_name(OperationKind.AUTHORIZE, said):
        wanted.add(said)
    async with references_of(settings) as references:
        if references is None:
            return ruling
        strange = await _refuse_strange(references, order_id, said) if at_gateway else None
        if strange is not None:
            return strange
        found = [await references.news_of(each, with_disputes=False) for each in sorted(wanted - {None})]
    return replace(ruling, seen=tuple(news for news in found if news is not None), asked_at=asked_at)


def _asks_gateway(known: OrderRows, word: Word) -> bool:
    """Whether such a call may be in question: then what was said of it is held against the gateway."""
    executed = word is Word.EXECUTED
    kinds = GATEWAY_KINDS if executed else {OperationKind.REFUND}
    refused = known.order["review_reason"] in ({"refund_failed", "void_refused"} if executed else {"refund_failed"})
    return refused or any(o["kind"] in kinds and o["state"] in UNFINISHED for o in known.operations)


def _earlier_ruling(settings: Settings, order_id: str) -> str:
    """Return who ruled on the order before, if anybody did; else an empty text."""
    with snapshot(settings.sqlalchemy_url()) as connection:
        last: Record | None = last_resolution(connection, order_id)
    if last is None:
        return ""
    return f"; {last['by']} said {last['word']} at {moment(last['at'])} UTC: {last['reason']}"


def _document(order_id: str, ruling: Ruling, resolved: "Resolved", *, dry_run: bool) -> dict[str, Any]:
    before, after = resolved.before, resolved.after
    return {
        "order_id": order_id,
        "review_reason": before.review_reason,
        "as": ruling.word.value,
        "reference": ruling.reference,
        "reason": ruling.reason,
        "by": ruling.by,
        "dry_run": dry_run,
        "status": after.status.value,
        "version": after.version,
        "events": [{"event_id": event.event_id, "type": event.TYPE} for event in resolved.events],
        "operations": [
            {"id": o.operation_id, "attempt": o.attempt, "kind": o.kind.value, "state": o.state.value}
            for o in after.operations
        ],
    }


def _lines(document: dict[str, Any]) -> list[str]:
    done = "would be" if document["dry_run"] else "is"
    lines = [
        f"{document['order_id']}: {document['review_reason']} {done} settled as {document['as']} by {document['by']}"
    ]
    lines += [f"  {event['type']}" for event in document["events"]]
    lines += [f"  {o['kind']} of attempt {o['attempt']}: {o['state']}" for o in document["operations"]]
    under_way = [o["kind"] for o in document["operations"] if o["state"] == "open"]
    lines.append(f"  the order {done} {document['status']}")
    if under_way:
        lines.append(f"  next: the sweep makes the {under_way[-1]}, and the order goes on with its answer")
    return lines
