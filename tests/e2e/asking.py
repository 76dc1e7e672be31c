"""Refund requests by the thousand: doubled, over the limit, racing each other, cancels, disputes and the dashboard."""

import asyncio
import json
import random
from collections import Counter
from typing import Any, Final

import httpx

from deploy.running import id_source, now
from producers.checkout import Checkout
from schemas.codec import Codec
from tests.e2e.claims import check_audit
from tests.e2e.deployment import Deployment
from tests.e2e.script import PLENTY, Order, alike
from tests.eventually import eventually

PER_ORDER: Final = 10
TOTAL_MINOR: Final = 1_250
TOKENS: Final = (
    *("pm_card_visa",) * 8,
    "pm_wallet_captured",
    "pm_fault_refund_pending",
    "pm_fault_reset_after_on_refund",
    "pm_fault_reset_before_on_refund",
    "pm_fault_500_after_on_refund",
    "pm_fault_429_on_refund",
    "pm_card_createDispute",
)
WAIT_S: Final = 280.0
ENDS: Final = """
    select count(*) from order_request r join orders o using (order_number)
     where r.state in ('waiting', 'taken', 'approval') and o.status <> 'manual_review'"""


def pay(shop: Deployment, orders: int, seed: int) -> list[Order]:
    """Publish so many orders and wait until all are paid."""
    draw = random.Random(seed)
    made = [order for n in range(orders) for order in alike(1, f"asked-{n}", draw.choice(TOKENS))]
    shop.publish(made)
    eventually(
        lambda: shop.number("select count(*) from orders where status = 'paid_and_confirmed'") >= orders,
        lambda: f"{orders} paid: {shop.statuses()}",
        WAIT_S,
    )
    return made


def ask(shop: Deployment, orders: list[Order], requests: int, seed: int) -> int:
    """Publish so many refund requests about these orders, some twice, with cancels among them; return how many."""
    draw = random.Random(seed)
    lines: list[dict[str, Any]] = []
    for n in range(requests):
        amount = draw.choice((None, draw.randrange(1, 400), draw.randrange(1, 400), draw.randrange(1, 2 * TOTAL_MINOR)))
        lines.append(
            {
                "type": "RefundRequested",
                "order_id": draw.choice(orders).order_id,
                "request_id": f"R-{n}",
                "amount_minor": amount,
                "reason": "damaged",
                "lines": [{"sku": PLENTY, "quantity": 1}] * (draw.random() < 0.2),
                "requested_by": "agent-7",
            }
        )
    # The same request again, as another event: it has no effect.
    lines += draw.sample(lines, requests // 10)
    for order in draw.sample(orders, len(orders) // 5):
        fields = {"request_id": "C-1", "reason": "changed my mind", "requested_by": "customer-1"}
        lines.append({"type": "OrderCancelRequested", "order_id": order.order_id, **fields})
    draw.shuffle(lines)
    checkout = Checkout(Codec(prefix=shop.prefix), shop.prefix, now(), id_source())
    prepared = checkout.prepare([json.dumps(line).encode() for line in lines])
    assert prepared.bad == []
    asyncio.run(shop.send(prepared.messages))
    return requests


def act_elsewhere(shop: Deployment, orders: int, seed: int) -> int:
    """Have somebody refund a little of some payments in the gateway's dashboard; return how many were refunded."""
    draw = random.Random(seed)
    done = 0
    for intent in draw.sample(shop.ledger(), orders):
        wanted = {"payment_intent": intent["id"], "action": "refund", "amount": draw.randrange(1, 200)}
        answer = httpx.post(f"{shop.sandbox}/sandbox/dashboard", json=wanted, trust_env=False, timeout=10)
        assert answer.status_code in {200, 400, 402}, answer.text
        done += answer.status_code == 200
    return done


def check(shop: Deployment, orders: list[Order], requests: int) -> Counter[str]:
    """Wait until every request has ended or a person has its order; hold the books to the gateway's ledger.

    Return how many requests ended how.
    """
    known = "select count(*) from order_request where kind = 'refund'"
    eventually(lambda: shop.number(known) == requests, lambda: f"{shop.number(known)} of {requests} known", WAIT_S)
    eventually(lambda: shop.number(ENDS) == 0, lambda: f"{shop.number(ENDS)} have not ended", WAIT_S)
    assert shop.number("select count(*) from dead_letter") == 0
    ledger = {intent["order_id"]: intent for intent in shop.ledger()}
    ours = {
        order_id: (captured, refunded, under_way)
        for order_id, captured, refunded, under_way in shop.rows(
            "select order_id, captured_minor, refunded_minor, coalesce((select sum(amount_minor) from operation p "
            "where p.order_number = a.order_number and p.kind = 'refund' and p.state in ('open', 'pending', 'unknown')"
            "), 0)::bigint from attempt a"
        )
    }
    foreign = Counter[str]()
    for order in orders:
        intent, (captured, refunded, under_way) = ledger[order.order_id], ours[order.order_id]
        given = sum(effect["amount_minor"] for effect in intent["effects"] if effect["kind"] == "refund")
        keys = [(effect["kind"], effect["key"]) for effect in intent["effects"] if effect["key"] != "elsewhere"]
        foreign[order.order_id] = sum(e["amount_minor"] for e in intent["effects"] if e["key"] == "elsewhere")
        assert len(keys) == len(set(keys)), f"{order.order_id}: a key was executed twice"
        assert given <= captured == TOTAL_MINOR, f"{order.order_id}: refunds exceed what was captured"
        # What somebody else gave back is booked when the gateway's list is read; what is under way may be done there.
        assert refunded <= given <= refunded + under_way + foreign[order.order_id], (order.order_id, refunded, given)
    check_audit(shop)
    told = shop.rows("select coalesce(refused, state), count(*) from order_request where kind = 'refund' group by 1")
    return Counter(dict(told))
