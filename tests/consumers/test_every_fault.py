"""Every operation, every fault, every status that a look-up may find meanwhile: the right end, and each effect once.

The real adapter talks to the sandbox, a process of its own, through a proxy that shows another status for a while. What
is right stands in one table, by what Stripe's statuses mean: see ENDS.
"""

from typing import Any, Final, NamedTuple

import pytest

from deploy.playbank.methods import Fault
from domain.operation import OperationKind
from schemas.events import Line, OrderConfirmed
from tests.consumers.between import Seen
from tests.consumers.claims import assert_all_is_well
from tests.consumers.orders import order
from tests.consumers.real_gateway import MakeWorld, World, make_world

__all__ = ["make_world"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

K = OperationKind
INVENTED: Final = "requires_wizardry"
"""A status that is not in the SDK: its types are open."""
AFTER: Final = frozenset({Fault.RESET_AFTER, Fault.TIMEOUT_AFTER, Fault.TRUNCATED, Fault.ERROR_AFTER})
"""Faults after which the first call has surely been executed."""
LASTING: Final = (Fault.RESET_AFTER, Fault.TIMEOUT_AFTER, Fault.TRUNCATED)
"""Faults that may come with every answer: only look-ups lead to the truth. 500_after does so anyway."""
FAILURE: Final = {"code": "card_declined", "decline_code": "generic_decline", "type": "card_error"}


class End(NamedTuple):
    """How an order ends, and what happened at the gateway, once each."""

    status: str
    effects: tuple[str, ...]
    failure: str | None = None


PAID = End("paid_and_confirmed", ("authorize", "capture"))
DECLINED = End("payment_failed", (), "card_declined")
ASKED = End("payment_failed", ("authorize", "cancel"), "authentication_required")
LAPSED = End("payment_failed", ("authorize", "cancel"), "authorization_expired")
VOIDED = End("payment_failed", ("authorize", "cancel"), "items_unavailable")
REFUNDED = End("payment_failed", ("authorize", "capture", "refund"), "items_unavailable")
REVIEW = End("manual_review", ("authorize", "capture", "refund"), "items_unavailable")
"""The refund failed after it had succeeded: its effect stays in the ledger, its money is back at the gateway."""

ENDS: Final[dict[OperationKind, dict[str, End]]] = {
    # A status that decides nothing is waited out: then the truth counts. What decides is true, for somebody did it.
    K.AUTHORIZE: {
        "requires_payment_method": PAID,
        "requires_payment_method with an error": DECLINED,
        "requires_confirmation": PAID,
        "requires_action": ASKED,  # nobody can be asked: it is cancelled, whatever the bank decides meanwhile
        "processing": PAID,
        "requires_capture": PAID,
        "canceled": LAPSED,
        "succeeded": PAID,
        INVENTED: PAID,
    },
    K.CAPTURE: {
        "requires_payment_method": PAID,
        "requires_payment_method with an error": PAID,
        "requires_confirmation": PAID,
        "requires_action": PAID,
        "processing": PAID,
        "requires_capture": PAID,
        "canceled": LAPSED,
        "succeeded": PAID,
        INVENTED: PAID,
    },
    K.VOID: {
        "requires_payment_method": VOIDED,
        "requires_payment_method with an error": VOIDED,
        "requires_confirmation": VOIDED,
        "requires_action": VOIDED,
        "processing": VOIDED,
        "requires_capture": VOIDED,
        "canceled": VOIDED,
        "succeeded": REFUNDED,
        INVENTED: VOIDED,
    },
    K.REFUND: {
        # The statuses of a refund.
        "pending": REFUNDED,
        "requires_action": REFUNDED,
        "succeeded": REFUNDED,
        "failed": REVIEW,
        "canceled": REVIEW,
        INVENTED: REFUNDED,
    },
}
DONE_BY_SOMEBODY: Final = {
    (K.AUTHORIZE, "canceled"): "cancel",
    (K.AUTHORIZE, "succeeded"): "capture",
    (K.CAPTURE, "canceled"): "cancel",
    (K.CAPTURE, "succeeded"): "capture",
    (K.VOID, "canceled"): "cancel",
    (K.VOID, "succeeded"): "capture",
}
"""A status that decides is not only shown: somebody truly does it, between the fault and our look."""


class Combination(NamedTuple):
    """One order."""

    kind: OperationKind
    fault: Fault
    status: str
    always: bool

    @property
    def order_id(self) -> str:
        name = f"{self.kind}-{self.fault}{'-always' if self.always else ''}-{self.status}"
        return name.replace(" with an error", "-declined")

    @property
    def end(self) -> End:
        return ENDS[self.kind][self.status]

    @property
    def possible(self) -> bool:
        """Whether the gateway can have this status after this fault."""
        executed = self.fault in AFTER
        match self.kind, self.status:
            case (K.CAPTURE, "canceled") | (K.VOID, "succeeded"):
                return not executed  # what is captured cannot be cancelled, nor the other way round
            case K.REFUND, "failed" | "canceled":
                return executed  # else the next call tells that it succeeded, and nobody looks
            case K.AUTHORIZE, "requires_payment_method with an error":
                return not self.always  # a declined card has no test method that also loses answers
            case _:
                return True

    @property
    def played(self) -> bool:
        """Whether the proxy plays the fault, for want of a test method that has it and this end."""
        return self.end in {DECLINED, REVIEW} or (self.kind, self.status) == (K.CAPTURE, "succeeded")

    def order(self) -> OrderConfirmed:
        match self.end:
            case end if end is DECLINED:
                token = "pm_card_chargeDeclined"
            case end if end is REVIEW:
                token = "pm_fault_refund_fails_later"
            case _ if self.played:
                token = "pm_card_visa"
            case _:
                captured = "_captured" if self.kind is K.REFUND else ""
                token = f"pm_fault_{self.fault}_on_{self.kind}{captured}{'_always' if self.always else ''}"
        if self.kind in {K.VOID, K.REFUND}:
            return order(self.order_id, token, lines=(Line(sku="SKU-9", quantity=1, unit_price_minor=3_000),))
        return order(self.order_id, token)

    def seen(self) -> Seen:
        fault: dict[str, Any] = {"fault": self.fault, "always": self.always} if self.played else {}
        if (self.kind, self.status) in DONE_BY_SOMEBODY:
            possible = self.kind is K.AUTHORIZE or self.fault not in AFTER
            return Seen(self.kind, does=DONE_BY_SOMEBODY[self.kind, self.status] if possible else None, **fault)
        if self.end is DECLINED:
            return Seen(self.kind, **fault)
        if self.end is REVIEW:
            return Seen(self.kind, {"status": self.status}, fails=True, stays=True, **fault)
        shows: dict[str, Any] = {"status": self.status.removesuffix(" with an error")}
        if self.status.endswith("an error"):
            shows["last_payment_error"] = FAILURE
        elif self.status == "requires_payment_method":
            shows["last_payment_error"] = None
        return Seen(self.kind, shows, stays=self.kind is K.AUTHORIZE)


ALL: Final = [
    combination
    for kind, statuses in ENDS.items()
    for status in statuses
    for fault, always in [*((fault, False) for fault in Fault), *((fault, True) for fault in LASTING)]
    if (combination := Combination(kind, fault, status, always)).possible
]


async def test_every_fault_of_every_operation_with_every_status_meanwhile_ends_as_it_must(
    make_world: MakeWorld,
) -> None:
    world = await make_world()
    pipeline, proxy = world
    orders = {each.order_id: each for each in ALL}
    assert len(orders) == len(ALL) > 350
    proxy.seen |= {each.order_id: each.seen() for each in ALL}
    await pipeline.stock(SKU_1=10_000, SKU_2=10_000)
    await world.join()
    await pipeline.publish(*(each.order() for each in ALL))

    async def ended() -> bool:
        await _end_what_was_seen(world)
        rows = await pipeline.rows("SELECT order_id, status FROM orders")
        return len(rows) == len(ALL) and all(
            status in {"paid_and_confirmed", "payment_failed", "manual_review"} for _, status in rows
        )

    await pipeline.until(ended, "all have ended", 200)
    await pipeline.until_quiet()
    effects: dict[str, list[str]] = {each.order_id: [] for each in ALL}
    for entry in await pipeline.gateway.entries():
        effects[str(entry.order_id)] += [effect.kind for effect in entry.effects]
    found = {
        order_id: End(status, tuple(effects[order_id]), code)
        for order_id, status, code in await pipeline.rows(
            "SELECT o.order_id, o.status, a.failure_code FROM orders o JOIN attempt a USING (order_id)"
        )
    }
    wrong = {order_id: (found[order_id], each.end) for order_id, each in orders.items() if found[order_id] != each.end}
    assert wrong == {}
    unseen = [order_id for order_id, seen in proxy.seen.items() if not _was_seen(seen)]
    assert unseen == [], "what was to be seen was never looked at"
    await assert_all_is_well(pipeline)


NEVER: Final = {
    # Executed never, or never answered and found by no look-up: an operator is asked, with this doubt.
    Fault.RESET_BEFORE: "unknown",
    Fault.TIMEOUT_BEFORE: "unknown",
    Fault.HTML: "unknown",
    Fault.RATE_LIMITED: "not_executed",
}
BEFORE: Final = {K.AUTHORIZE: [], K.CAPTURE: ["authorize"], K.VOID: ["authorize"], K.REFUND: ["authorize", "capture"]}
"""What has happened at the gateway before such a call."""


async def test_a_call_that_never_comes_through_goes_to_an_operator_and_has_no_effect(make_world: MakeWorld) -> None:
    world = await make_world(unknown_give_up_s=3, tries_max=4)
    pipeline = world.pipeline
    calls = [Combination(kind, fault, INVENTED, always=True) for kind in K if kind in BEFORE for fault in NEVER]
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    await world.join()
    await pipeline.publish(*(each.order() for each in calls))

    others = 0

    async def all_reviewed() -> bool:
        # Others pay meanwhile: if every call failed, the gateway would be down, and nobody be asked about an order.
        nonlocal others
        paid = await pipeline.value("SELECT count(*) FROM orders WHERE status = 'paid_and_confirmed'")
        if paid == others:
            others += 1
            await pipeline.publish(order(f"other-{others}"))
        reviewed = await pipeline.value("SELECT count(*) FROM orders WHERE status = 'manual_review'")
        return bool(reviewed == len(calls))

    await pipeline.until(all_reviewed, "an operator is asked about all", 100)
    await assert_all_is_well(pipeline)
    found = dict(await pipeline.rows("SELECT order_id, review_reason FROM orders WHERE status <> 'paid_and_confirmed'"))
    assert found == {each.order_id: f"{each.kind}_{NEVER[each.fault]}" for each in calls}
    for each in calls:
        assert await pipeline.effects(each.order_id) == BEFORE[each.kind], each.order_id


def _was_seen(seen: Seen) -> bool:
    return bool(seen.asked) and bool(not seen.shows or seen.shown) and bool(not (seen.does or seen.fails) or seen.done)


async def _end_what_was_seen(world: World) -> None:
    """End what is shown of authorizations whose look-up has told it to the pipeline."""
    rows = await world.pipeline.rows("SELECT order_id, tries, state FROM operation WHERE kind = 'authorize'")
    for order_id, tries, state in rows:
        seen = world.proxy.seen[order_id]
        if seen.kind is not K.AUTHORIZE or not seen.shown:
            continue
        seen.tries = tries if seen.tries is None else seen.tries
        # Of two answers since it was first shown, one is to a question that was asked since then.
        seen.over = seen.over or tries >= seen.tries + 2 or state in {"pending", "approved", "not_executed"}
