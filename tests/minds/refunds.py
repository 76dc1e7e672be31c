"""Paid orders, and refund requests about them: several an order, doubled, racing each other, cancels, the dashboard."""

import random
from collections.abc import Callable
from typing import Any, Final, TypeVar

import httpx

from tests.chaos.clock import unix_s
from tests.chaos.messages import Message
from tests.chaos.published import Published
from tests.chaos.world import World
from tests.minds import messages
from tests.minds.claims import Claim, Copy, Plan, plan
from tests.minds.script import ELSEWHERE, FAILED, PAID, REFUNDABLE, Order, Script
from tests.minds.shop import ANSWER_S, Shop
from tests.minds.timeline import Timeline

T = TypeVar("T")
CANCEL_ID: Final = "cancel-1"
WON: Final = "won"
KEY: Final = "sk_test_minds"
"""The sandbox takes any key that looks so; this one is the shop's own, in its dashboard."""


class Refunds:
    """count: messages that ask for a refund, about. rate: orders a second. foreign: see oracle.Case."""

    def __init__(self, world: World, seed: int, count: int, rate: float, prefix: str = "r") -> None:
        draw = random.Random(f"claims of {seed}")
        self.plans: dict[str, Plan] = {}
        self.orders: dict[str, Order] = {}
        asked = 0
        kinds = [*REFUNDABLE, *(ELSEWHERE if world.inventory else ())]
        for order in Script(seed, prefix, kinds).orders(count):
            if asked >= count:
                break
            made = plan(draw, order)
            asked += made.messages
            self.orders[order.order_id], self.plans[order.order_id] = order, made
        self._rate = rate
        self._timeline = Timeline()
        self.published = Published()
        self.shop = Shop(world, self.published, self._timeline, self.orders)
        self.shop.heard = self._hear
        self.foreign: dict[str, int] = {}
        self._begun: set[str] = set()
        self.overtaken: frozenset[str] = frozenset()
        self.prepared: frozenset[str] = frozenset()
        self.nobodies: frozenset[str] = frozenset()

    @property
    def titles(self) -> dict[str, str]:
        """Say of each order what is wanted back."""
        return {order_id: made.title for order_id, made in self.plans.items()}

    @property
    def progress(self) -> float:
        """How many orders have come so far that requests about them are sent, from 0 to 1."""
        return len(self._begun) / max(1, len(self.orders))

    def start(self) -> None:
        """Let the orders flow."""
        self.shop.open()
        for number, order in enumerate(self.orders.values()):
            self._timeline.after(number / self._rate, _later(self._begin, order))

    def wait(self, timeout_s: float) -> bool:
        """Wait until every request is sent; tell whether it is."""
        end = unix_s() + timeout_s
        return self._timeline.wait(timeout_s, lambda: self.progress >= 1) and self.shop.outlet.wait(end - unix_s())

    def _begin(self, order: Order) -> None:
        made = self.plans[order.order_id]
        early = made.claims[0] if made.early else None
        then = None if early is None else lambda: self._claim(order, early)
        self.shop.send(messages.confirmed(order), then)

    def _hear(self, event_type: str, fields: dict[str, Any], order: Order) -> None:
        made = self.plans[order.order_id]
        if event_type in {PAID, FAILED} and order.order_id not in self._begun:
            self._begun.add(order.order_id)
            self._ask(order, made)
            if event_type == PAID and made.dashboard_minor:
                self._refund_elsewhere(order, str(fields["transaction_id"]), made.dashboard_minor)
        elif event_type == "PaymentDisputed" and made.wins and fields["funds_withdrawn"]:
            self._timeline.until(lambda: self._win(str(fields["dispute_id"])))
        elif event_type == "PaymentDisputeClosed" and made.wins and fields["outcome"] == "WON":
            self.shop.send(messages.refund(order, WON, 1))

    def _ask(self, order: Order, made: Plan) -> None:
        claims = made.claims[1:] if made.early else made.claims
        for number, claim in enumerate(claims):
            if made.cancels and number == len(claims) // 2:
                self._timeline.after(claim.after_s, lambda: self.shop.send(messages.cancel(order, CANCEL_ID)))
            if claim.after_s:
                self._timeline.after(claim.after_s, _later(lambda c: self._claim(order, c), claim))
            else:
                self._claim(order, claim)

    def _claim(self, order: Order, claim: Claim) -> None:
        for message in _said(order, claim):
            self.shop.send(message)

    def _refund_elsewhere(self, order: Order, transaction_id: str, amount: int) -> None:
        wanted = {"payment_intent": transaction_id, "action": "refund", "amount": amount}

        def refund() -> bool:
            answer = self.shop.post("dashboard", json=wanted)
            if answer.status_code == httpx.codes.OK:
                self.foreign[order.order_id] = amount
            return answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR

        self._timeline.until(refund)

    def _win(self, dispute_id: str) -> bool:
        host, port = self.shop.world.wire.sandbox
        url = f"http://{host}:{port}/v1/disputes/{dispute_id}"
        evidence = {"evidence[uncategorized_text]": "winning_evidence"}
        answer = httpx.post(url, data=evidence, auth=(KEY, ""), trust_env=False, timeout=ANSWER_S)
        return answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR


def _said(order: Order, claim: Claim) -> list[Message]:
    one = messages.refund(order, claim.request_id, claim.amount_minor, claim.lines)
    match claim.copy:
        case Copy.BYTES:
            return [one, one]
        case Copy.CONTENT:
            return [one, messages.refund(order, claim.request_id, claim.amount_minor, claim.lines, copy=1)]
        case Copy.OTHER:
            other = 7 if claim.amount_minor is None else claim.amount_minor + 7
            return [one, messages.refund(order, claim.request_id, other, claim.lines)]
        case _:
            return [one]


def _later(work: Callable[[T], None], about: T) -> Callable[[], None]:
    return lambda: work(about)
