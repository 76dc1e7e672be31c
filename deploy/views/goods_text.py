"""A comparison with the inventory as text for people."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

import click

from deploy.views.reconcile_text import SHOWN_MAX, Meaning
from deploy.views.terminal import visible
from outbox.audit import GoodsCompared, HoldDifference, HoldKind
from schemas.texts import counted

MEANINGS: Final[Mapping[HoldKind, Meaning]] = {
    HoldKind.HELD_UNKNOWN: Meaning(
        "the inventory keeps goods for an order of ours, and we know nothing of it",
        "check that PAYMENTS_DATABASE_URL and PAYMENTS_INVENTORY_URL belong together. If they do, the goods are free "
        "again when the hold lapses; release it there if that is too late.",
    ),
    HoldKind.STILL_HELD: Meaning(
        "the inventory keeps goods that no order needs",
        "release the hold there, or wait until it lapses. `payments order show ID` tells why the order let it go.",
    ),
    HoldKind.HOLD_GONE: Meaning(
        "we count on goods that the inventory has given up",
        "nothing is captured for them: the order fails when it is their turn. See why they went there.",
    ),
    HoldKind.SOLD_UNPAID: Meaning(
        "the inventory has sold goods that nobody has paid",
        "`payments order show ID` tells what became of the money. If the goods were not sent, restock them there.",
    ),
    HoldKind.PAID_UNSOLD: Meaning(
        "goods are paid, and the inventory has not sold them",
        "sell them there, or refund the order: the customer waits for goods that may go to somebody else.",
    ),
    HoldKind.LINES: Meaning(
        "the goods differ",
        "compare `payments order show ID` with the hold there: somebody has changed one of them.",
    ),
    HoldKind.RESTOCKED: Meaning(
        "different goods came back",
        "compare the order's ItemsRestocked events with the restocks there, and count the shelf.",
    ),
    HoldKind.STOCK: Meaning(
        "the stock does not add up",
        "`payments stock show SKU` tells what was put in and by whom; count the shelf, then `payments stock set`.",
    ),
}
"""One for each kind of difference."""


def goods_lines(found: GoodsCompared) -> Iterator[str]:
    """Show a comparison: each kind of difference with what to do, then what was compared."""
    for kind, alike in groupby(sorted(found.kept, key=attrgetter("kind")), attrgetter("kind")):
        yield click.style("✗", fg="red") + f" {MEANINGS[kind].meaning} ({kind}, {found.found[kind]}):"
        yield from _listed(list(alike), found.found[kind])
        yield f"    to do: {MEANINGS[kind].todo}"
    if found.for_operator:
        number = len(found.for_operator)
        yield f"{counted(number, 'difference')} of orders that wait for `payments order resolve`:"
        yield from _listed(found.for_operator, number)
    if found.inventory == "internal":
        skus, holds = counted(found.skus, "SKU"), counted(found.here, "hold")
        yield f"compared the stock of {skus} with what was put in and with {holds}"
    else:
        since = "" if found.since is None else f" that changed since {found.since:%F %H:%M} UTC"
        yield f"compared {counted(found.here, 'hold')} with {found.there} of the inventory{since}"
    if found.under_way:
        under_way = counted(found.under_way, "hold is", "holds are")
        yield f"{under_way} being worked on and not judged: run it again later"
    if found.foreign:
        yield counted(found.foreign, "hold of the inventory is not ours", "holds of the inventory are not ours")
    total = found.found.total()
    yield "no differences" if found.same else counted(total, "difference")


def _listed(those: Sequence[HoldDifference], total: int) -> Iterator[str]:
    for difference in those[:SHOWN_MAX]:
        whose = "" if difference.order_id is None else f"order {difference.order_id}: "
        yield visible(f"    {whose}{difference.text}")
    if total > SHOWN_MAX:
        yield f"    {total} in all; --json lists more"
