"""A comparison with the gateway's lists as text for people."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

import click

from deploy.views.terminal import visible
from outbox.audit import Difference, Kind, Reconciliation
from schemas.texts import counted

SHOWN_MAX: Final = 20
"""Differences of a kind that are shown; further ones are counted."""


class Meaning(NamedTuple):
    """What a kind of difference means, and what to do about it."""

    meaning: str
    todo: str


MEANINGS: Final[Mapping[Kind, Meaning]] = {
    Kind.ORDER_UNKNOWN: Meaning(
        "the gateway has our metadata for an order that we do not have",
        "check that PAYMENTS_DATABASE_URL and PAYMENTS_STRIPE_API_KEY belong together. If they do, the database has "
        "lost the order, or another deployment uses the same account. If nobody knows the order, give the money back "
        "in the gateway's dashboard.",
    ),
    Kind.TRANSACTION_UNKNOWN: Meaning(
        "an order of ours has a transaction that no attempt knows",
        "`payments order show ID` tells what we know. What is held or kept there is not ours to use: cancel or refund "
        "it in the gateway's dashboard.",
    ),
    Kind.TRANSACTION_MISSING: Meaning(
        "we have moved money, and the gateway does not have the transaction",
        "check that PAYMENTS_STRIPE_API_KEY is that of the account and mode that took the payment; "
        "`payments order show ID` names the transaction.",
    ),
    Kind.CURRENCY: Meaning(
        "the currencies differ",
        "give the transaction back in the gateway's dashboard: `payments order show ID` tells what the order costs.",
    ),
    Kind.AUTHORIZED: Meaning(
        "the authorized amounts differ",
        "`payments order show ID` and the dashboard show which side was changed. Cancel there what nobody needs.",
    ),
    Kind.CAPTURED: Meaning(
        "the captured amounts differ",
        "somebody captured by hand, or our books were changed: compare `payments order show ID` with the dashboard, "
        "and refund there what the customer does not owe.",
    ),
    Kind.REFUNDED: Meaning(
        "the refunded amounts differ",
        "compare `payments order show ID` with the dashboard; refund there what is still owed.",
    ),
    Kind.REFUNDED_ELSEWHERE: Meaning(
        "somebody else has refunded",
        "ask who made the refund in the dashboard. `payments order show ID` tells whether the goods went out. If the "
        "order waits for a review, `payments order resolve ID` settles it.",
    ),
    Kind.REFUND_FAILED: Meaning(
        "a refund that we took for done has failed",
        "the customer does not have the money: pay it back by other means, or refund it again in the dashboard.",
    ),
    Kind.REFUND_MISSING: Meaning(
        "we have a refund that the gateway does not have",
        "`payments order show ID` names who settled it and with which reference. Refund in the dashboard what is owed.",
    ),
    Kind.DISPUTED: Meaning(
        "the gateway has a dispute otherwise than our books",
        "see that the sweep runs, and that webhooks or the gateway's list of events are read; the alarms "
        "`told_unread`, `notices_unread` and `dispute_unknown` say what is missing.",
    ),
    Kind.STILL_HELD: Meaning(
        "the gateway holds money that no order needs",
        "cancel the transaction in the gateway's dashboard: the customer's money is blocked until it runs out.",
    ),
    Kind.HOLD_GONE: Meaning(
        "the gateway has cancelled a transaction that we count on",
        "it ran out, or somebody cancelled it: nothing can be captured. If the order waits for a review, "
        "`payments order resolve ID --as not-executed` ends it.",
    ),
    Kind.UNDECIDED: Meaning(
        "the gateway has a transaction that may still be approved, and nobody here waits for it",
        "cancel it in the gateway's dashboard.",
    ),
    Kind.AUTHORIZED_TWICE: Meaning(
        "one operation was authorized more than once",
        "cancel or refund in the dashboard the one that `payments order show ID` does not name, and report it.",
    ),
    Kind.KEPT_TWICE: Meaning(
        "an order was captured twice",
        "refund in the dashboard the one that `payments order show ID` does not name, and report it.",
    ),
    Kind.KEPT_TOO_MUCH: Meaning(
        "the gateway keeps more than the order costs",
        "refund the rest in the dashboard; `payments order show ID` names the transactions.",
    ),
}
"""One for each kind of difference."""


def reconcile_lines(found: Reconciliation) -> Iterator[str]:
    """Show a comparison: each kind of difference with what to do, then what was compared."""
    for kind, alike in groupby(sorted(found.kept, key=attrgetter("kind")), key=attrgetter("kind")):
        yield click.style("✗", fg="red") + f" {MEANINGS[kind].meaning} ({kind}, {found.found[kind]}):"
        yield from _listed(list(alike), found.found[kind])
        yield f"    to do: {MEANINGS[kind].todo}"
    if found.for_operator:
        number = len(found.for_operator)
        yield f"{counted(number, 'difference')} of orders that wait for `payments order resolve`:"
        yield from _listed(found.for_operator, number)
    yield (
        f"compared {counted(found.orders, 'order')} ({counted(found.attempts, 'attempt')}) with "
        f"{counted(found.transactions, 'transaction')} and {counted(found.refunds, 'refund')} since "
        f"{found.listed_since:%F %H:%M} UTC"
    )
    if found.under_way:
        under_way = counted(found.under_way, "order is", "orders are")
        yield f"{under_way} being worked on and not judged: run it again later"
    if found.foreign_transactions or found.foreign_refunds:
        yield (
            f"of the account are not ours: {counted(found.foreign_transactions, 'transaction')}, "
            f"{counted(found.foreign_refunds, 'refund')}"
        )
    total = found.found.total()
    yield "no differences" if found.same else counted(total, "difference")


def _listed(those: Sequence[Difference], total: int) -> Iterator[str]:
    for difference in those[:SHOWN_MAX]:
        yield visible(f"    order {difference.order_id or '(none)'}: {difference.text}")
    if total > SHOWN_MAX:
        yield f"    {total} in all; --json lists more"
