"""Each refund request has one answer, what was refunded was asked for, and a refusal says what is true."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.minds.evidence import Event
from tests.minds.oracle.case import OUTSIDE, Asked, Index, Violation

REFUNDED, FAILED, REFUSED = "PaymentRefunded", "PaymentRefundFailed", "RefundRefused"
RESTOCKED, PAID, CANCELLED = "ItemsRestocked", "PaidAndConfirmed", "OrderCancelled"


def check_refunds(index: Index) -> Iterator[Violation]:
    """Look at every request for money, and at what was refunded without one."""
    known: set[tuple[str, str]] = set()
    for asked in index.refunds:
        known.add((asked.order_id, asked.request_id))
        if asked.order_id in index.confirmed:
            yield from _check_request(index, asked)
    for order_id in index.case.orders:
        for event in index.of(order_id, REFUNDED, FAILED, REFUSED):
            name = event.fields["request_id"]
            if name is not None and (order_id, name) not in known:
                yield Violation("refund", order_id, f"{event.type} for {name}, which nobody asked for")


def accepted(index: Index, asked: Asked) -> Mapping[str, Any]:
    """Return the content that counts: of the first message that is no dead letter, else of any."""
    for event_id, fields in asked.messages.items():
        if event_id not in index.letters:
            return fields
    return next(iter(asked.messages.values()))


def _mine(index: Index, asked: Asked, *types: str) -> list[Event]:
    return [event for event in index.of(asked.order_id, *types) if event.fields["request_id"] == asked.request_id]


def _check_request(index: Index, asked: Asked) -> Iterator[Violation]:
    where = index.where(asked.order_id)
    refunded, failed = _mine(index, asked, REFUNDED), _mine(index, asked, FAILED)
    refused, restocked = _mine(index, asked, REFUSED), _mine(index, asked, RESTOCKED)
    done = len(refunded) - len(failed)
    said = accepted(index, asked)
    answers = max(len(refused), 0) + (1 if refunded else 0)
    free = index.case.orders[asked.order_id].total_minor == 0
    if not answers and free and restocked:
        answers = 1
    if not answers and index.row(asked.order_id).status != "manual_review":
        yield Violation("no answer", asked.name, "neither refunded nor refused", where)
    if answers > 1 or (done > 1 and not _in_parts(index, asked)):
        kinds = [event.type for event in (*refunded, *refused)]
        yield Violation("two answers", asked.name, f"{kinds}, {len(failed)} failed", where)
    yield from _check_amount(index, asked, said, refunded, failed)
    if refunded and not any(event.at < refunded[0].at for event in index.of(asked.order_id, PAID)):
        yield Violation("refund", asked.name, "refunded on request before it was paid", where)
    for event in refused:
        if not _fits(index, asked, said, event):
            yield Violation("reason", asked.name, f"refused for {event.fields['reason']}, which is not so", where)
    yield from _check_restocked(asked, said, restocked, refunded, refused, where)


def _in_parts(index: Index, asked: Asked) -> bool:
    """Whether somebody else's refund came between, so that what was asked for was given back in parts."""
    return asked.order_id in index.case.foreign


def _check_amount(
    index: Index, asked: Asked, said: Mapping[str, Any], refunded: list[Event], failed: list[Event]
) -> Iterator[Violation]:
    amount = sum(int(event.fields["amount_minor"]) for event in refunded)
    amount -= sum(int(event.fields["amount_minor"]) for event in failed if _follows(event, refunded))
    wanted = said["amount_minor"]
    if wanted is None or not refunded:
        return
    if amount > wanted:
        what = f"refunded {amount}, asked were {wanted}"
        yield Violation("amount", asked.name, what, index.where(asked.order_id))
    elif amount < wanted and not failed and asked.order_id not in index.case.foreign:
        what = f"refunded {amount} only, asked were {wanted}"
        yield Violation("amount", asked.name, what, index.where(asked.order_id))


def _follows(failed: Event, refunded: list[Event]) -> bool:
    return any(event.fields["refund_id"] == failed.fields["refund_id"] for event in refunded)


def _fits(index: Index, asked: Asked, said: Mapping[str, Any], answer: Event) -> bool:
    """Whether a refusal's reason is true, by what else there is."""
    order_id = asked.order_id
    match answer.fields["reason"]:
        case "NOT_PAID":
            return not any(event.at < answer.at for event in index.of(order_id, PAID))
        case "EXCEEDS_KEPT":
            left, wanted = _never_asked_back(index, order_id), said["amount_minor"]
            return left <= 0 if wanted is None else wanted > left
        case "EXCEEDS_SOLD":
            return _exceeds_sold(index, asked, said)
        case "DISPUTED":
            return index.disputed(order_id)
        case "IN_REVIEW":
            return any(event.at < answer.at for event in index.of(order_id, "PaymentReviewRequired"))
        case "CANCELLED":
            return bool(index.of(order_id, CANCELLED))
        case _:
            return False


def _never_asked_back(index: Index, order_id: str) -> int:
    """Return what was left of the payment at its lowest: refunds that failed count as made."""
    back = index.of(order_id, REFUNDED)
    made = {event.fields["refund_id"] for event in back}
    lost = [event for event in index.of(order_id, FAILED) if event.fields["refund_id"] not in made]
    return index.captured(order_id) - sum(int(event.fields["amount_minor"]) for event in (*back, *lost))


def _exceeds_sold(index: Index, asked: Asked, said: Mapping[str, Any]) -> bool:
    left = Counter(index.case.orders[asked.order_id].units)
    for event in index.of(asked.order_id, RESTOCKED):
        left.subtract({line["sku"]: int(line["quantity"]) for line in event.fields["lines"]})
    wanted: Counter[str] = Counter()
    for line in said["lines"]:
        wanted[line["sku"]] += int(line["quantity"])
    return any(units > left[sku] for sku, units in wanted.items())


def _check_restocked(
    asked: Asked,
    said: Mapping[str, Any],
    restocked: list[Event],
    refunded: list[Event],
    refused: list[Event],
    where: str,
) -> Iterator[Violation]:
    wanted: Counter[str] = Counter()
    for line in said["lines"]:
        wanted[line["sku"]] += int(line["quantity"])
    if len(restocked) > 1:
        yield Violation("restock", asked.name, f"its units are back {len(restocked)} times", where)
    for event in restocked:
        back = Counter({line["sku"]: int(line["quantity"]) for line in event.fields["lines"]})
        if back != wanted:
            yield Violation("restock", asked.name, f"{dict(back)} are back, not {dict(wanted)}", where)
    if refunded and wanted and not restocked:
        yield Violation("restock", asked.name, "its money is back, its units are not", where)
    at_once = refused and refused[0].fields["reason"] not in {"DISPUTED", "EXCEEDS_KEPT"}
    if restocked and at_once:
        yield Violation("restock", asked.name, "it was refused, and its units are back", where)


def returned(index: Index, order_id: str) -> tuple[int, int]:
    """Return what the events say went back, failed refunds taken off, minor units: at the gateway, and past it."""
    back = [event for event in index.of(order_id, REFUNDED) if not _is_outside(event)]
    outside = [event for event in index.of(order_id, REFUNDED) if _is_outside(event)]
    lost = [event for event in index.of(order_id, FAILED) if _follows(event, back)]
    amount = sum(int(event.fields["amount_minor"]) for event in back)
    amount -= sum(int(event.fields["amount_minor"]) for event in lost)
    return amount, sum(int(event.fields["amount_minor"]) for event in outside)


def _is_outside(event: Event) -> bool:
    """Whether a refund was paid past the gateway."""
    return str(event.fields.get("refund_id") or "").startswith(OUTSIDE)
