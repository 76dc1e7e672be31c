"""Refunds on request, of somebody else, pending, lost, failing later, in any order: the books end as the gateway's."""

from collections import Counter
from datetime import datetime
from random import Random
from typing import Any, Final

import pytest

from consumers.gateway_told import ROWS
from domain.failure_codes import FailureCode
from domain.hearing import Hearing, attempt_of, facts_of, hear, with_closed
from domain.news import LAG_MAX, RefundFailure, SeenRefund, TransactionNews
from domain.operation import Operation
from domain.order import Status
from domain.outcome import Approved, Declined, GatewayOutcome, NotFound, Pending, ReturnedElsewhere, Unknown
from domain.pending import AT_OTHERS
from domain.requests import RequestState
from domain.ruling import Word
from schemas import events as e
from tests.domain.asked_refunds import Play
from tests.domain.builders import AT, ORDER_ID, TOTAL

STEPS: Final = 40
SEEDS: Final = 200
LONG_AFTER: Final = AT + LAG_MAX
"""An answer of this time cannot be older than what has ended."""


class Gateway:
    """What truly happened: one payment of TOTAL, and its refunds by the operation that made them."""

    def __init__(self, rng: Random, copies: float = 0.0) -> None:
        """Make it. copies: the share of calls of which a copy comes much later, when they may have ended.

        With copies, others refund more, and their refunds may be pending, or fail.
        """
        self.rng = rng
        self.copies = copies
        self.strange = copies > 0
        self.refunds: dict[str, dict[str, Any]] = {}
        self.flying: list[Operation] = []
        self.refused: set[str] = set()
        self.late: set[str] = set()

    def back(self, *states: str) -> int:
        return sum(r["amount"] for r in self.refunds.values() if r["state"] in states)

    def perform(self, call: Operation) -> GatewayOutcome:
        """Make the refund of a call, once; its answer may be lost."""
        name = str(call.operation_id)
        if name not in self.refunds:
            if self.copies and self.rng.random() < self.copies:
                self.flying.append(call)
                return Unknown("time-out")
            if TOTAL - self.back("succeeded", "pending") < call.amount_minor:
                return self._explain(call)
            if self.rng.random() < 0.08:
                self.refused.add(name)
                return Declined(FailureCode.GATEWAY_REFUSED, "generic_decline", "pi_1")
            state = self.rng.choice(("succeeded", "succeeded", "pending"))
            self.refunds[name] = {"id": f"re_{len(self.refunds)}", "amount": call.amount_minor, "state": state}
            if self.rng.random() < 0.2:
                return Unknown("time-out")
        return self.look_up(call)

    def look_up(self, call: Operation) -> GatewayOutcome:
        """Say what became of a call."""
        made = self.refunds.get(str(call.operation_id))
        if made is None and call.detail != AT_OTHERS and self._is_under_way(call):
            return Unknown("time-out")  # as if look-ups failed: a call that is sent again overtakes its copy
        if made is None:
            return self._explain(call) if call.detail == AT_OTHERS else self.perform(call)
        match made["state"]:
            case "succeeded":
                return Approved("pi_1", made["id"], made["amount"])
            case "pending":
                return Pending(made["id"], "pi_1")
            case _:
                return Declined(FailureCode.GATEWAY_REFUSED, "refund_failed", "pi_1")

    def _is_under_way(self, call: Operation) -> bool:
        """Whether a copy of the call is under way, and there is room for it."""
        room = TOTAL - self.back("succeeded", "pending") >= call.amount_minor
        return room and any(flying.operation_id == call.operation_id for flying in self.flying)

    def _explain(self, call: Operation) -> GatewayOutcome:
        if TOTAL - self.back("succeeded", "pending") >= call.amount_minor:
            return NotFound()
        if self.back("pending"):
            return Pending(None, "pi_1", AT_OTHERS)
        newest = next(r["id"] for r in reversed(self.refunds.values()) if r["state"] == "succeeded")
        return ReturnedElsewhere(self.back("succeeded"), newest)

    def arrive(self) -> None:
        """Have a copy of a call come that was under way for long. What its key has answered it only hears again."""
        if not self.flying:
            return
        call = self.flying.pop(0)
        name, room = str(call.operation_id), TOTAL - self.back("succeeded", "pending")
        if name not in {*self.refunds, *self.refused} and room >= call.amount_minor:
            self.refunds[name] = {"id": f"re_{len(self.refunds)}", "amount": call.amount_minor, "state": "succeeded"}
            self.late.add(name)

    def act_elsewhere(self) -> None:
        """Have somebody refund a little in the dashboard."""
        amount = min(self.rng.randrange(1, 3_000 if self.strange else 600), TOTAL - self.back("succeeded", "pending"))
        if amount > 0:
            name = f"foreign {len(self.refunds)}"
            state = self.rng.choice(("succeeded", "pending")) if self.strange else "succeeded"
            self.refunds[name] = {"id": f"re_{len(self.refunds)}", "amount": amount, "state": state}

    def decide(self) -> None:
        """Decide what is pending."""
        for made in self.refunds.values():
            if made["state"] == "pending":
                made["state"] = self.rng.choice(("succeeded", "succeeded", "failed"))

    def fail_late(self) -> RefundFailure | None:
        """Have a refund of ours fail after it had succeeded; with copies, perhaps one of others."""
        done = [(n, r) for n, r in self.refunds.items() if r["state"] == "succeeded"]
        done = [(n, r) for n, r in done if self.strange or not n.startswith("foreign")]
        if not done:
            return None
        name, made = self.rng.choice(done)
        made["state"] = "failed"
        if name.startswith("foreign"):
            return None
        return RefundFailure(ORDER_ID, name, made["id"], made["amount"], "lost_or_stolen_card")

    def news(self) -> TransactionNews:
        seen = tuple(
            SeenRefund(r["id"], None if n.startswith("foreign") else n, r["state"], r["amount"], "EUR")
            for n, r in self.refunds.items()
        )
        return TransactionNews("pi_1", ORDER_ID, None, "EUR", captured_minor=TOTAL, refunds=seen)


class Story(Play):
    """A play with a gateway that keeps its own books."""

    def told(self, fact: Any, asked_at: datetime | None = None) -> None:  # type: ignore[override]
        """Hear what the gateway tells unasked, as the sweep does."""
        order = with_closed(self.order, list(self.history.values()))
        attempt = attempt_of(order, "pi_1", None)
        decision = hear(ROWS, Hearing(order, fact, self.context(), attempt, (), asked_at))
        if decision is not None:
            self.take(decision)

    def hear_all(self, gateway: Gateway, asked_at: datetime | None = None) -> None:
        self.hear(gateway.news(), asked_at)

    def hear(self, news: TransactionNews, asked_at: datetime | None = None) -> None:
        """Hear what the gateway said. It may have been a while ago: we ask without a lock, and other calls go on."""
        order = with_closed(self.order, list(self.history.values()))
        for fact in facts_of(order, news, asked_at, warned=False):
            self.told(fact, asked_at)

    def answer_one(self, gateway: Gateway, rng: Random) -> None:
        calls = [o for o in self.order.operations if o.unfinished and o.due_at is not None]
        if calls:
            call = rng.choice(calls)
            asked = gateway.perform if call.state == "open" else gateway.look_up
            self.answer(asked(call), call.for_request)

    def rule_if_needed(self, _: Gateway) -> None:
        """Have an operator end a review, with what the gateway really has."""
        if self.order.status is not Status.MANUAL_REVIEW:
            return
        waiting = next((o for o in self.order.operations if o.unfinished and o.due_at is None), None)
        assert waiting is None, "nothing is given up here"
        self.rule(Word.NOT_EXECUTED)


def live(seed: int, copies: float = 0.0) -> tuple[Story, Gateway]:
    """Let anything happen for a while; then let everything come to its end."""
    rng = Random(seed)
    story, gateway = Story(), Gateway(rng, copies)
    asked = gateway.news()
    for n in range(STEPS):
        match rng.randrange(6):
            case 0:
                asked = gateway.news()
            case 1:
                story.hear(asked)
            case _:
                _step(story, gateway, rng, n)
    gateway.copies = 0
    for _ in range(400):
        gateway.arrive()
        gateway.decide()
        story.hear_all(gateway)
        story.answer_one(gateway, rng)
        story.rule_if_needed(gateway)
        before = story.order
        story.hear_all(gateway, LONG_AFTER)
        under_way = any(o.unfinished for o in before.operations) or before.status is Status.MANUAL_REVIEW
        if not under_way and story.order == before and not gateway.flying:
            break
    return story, gateway


def _is_open(story: Story, gateway: Gateway) -> bool:
    """Whether the next copy to come is of a call that has not ended: then it is late no longer than its answer."""
    return story.order.operation(gateway.flying[0].operation_id) is not None


def _step(story: Story, gateway: Gateway, rng: Random, n: int) -> None:
    match rng.randrange(20):
        case 0 | 1 | 2 | 3 | 4:
            story.ask(f"R-{n}", rng.choice((None, rng.randrange(1, 900), rng.randrange(1, 900))))
        case 5:
            gateway.act_elsewhere()
        case 6 if gateway.flying and not _is_open(story, gateway):
            gateway.arrive()
        case 16 | 17 if gateway.strange:
            gateway.act_elsewhere()
        case 6 | 7:
            gateway.decide()
        case 8 if (failure := gateway.fail_late()) is not None:
            story.told(failure)
        case 9 | 10 | 11:
            story.hear_all(gateway)
        case 12 | 13 | 14:
            story.rule_if_needed(gateway)
        case _:
            story.answer_one(gateway, rng)


def check(story: Story, gateway: Gateway) -> None:
    """Hold the books to the gateway's, once nothing is under way any more."""
    order = story.order
    assert not any(o.unfinished for o in order.operations)
    assert order.status is Status.PAID_AND_CONFIRMED, (order.review_reason, story.states())
    assert order.current.refunded_minor == gateway.back("succeeded")
    assert {r.state for r in order.requests} <= {RequestState.DONE, RequestState.REFUSED}, story.states()
    told = sum(event.amount_minor for event in story.events if isinstance(event, e.PaymentRefunded))
    failed = sum(event.amount_minor for event in story.events if isinstance(event, e.PaymentRefundFailed))
    assert told - failed == order.current.refunded_minor
    done = {str(o.operation_id) for o in story.history.values() if o.for_request and o.state == "approved"}
    made = sum(r["amount"] for name, r in gateway.refunds.items() if name in done)
    assert sum(r.returned_minor for r in order.requests) == made, "nobody asked for what others gave back"


def _live_all(seeds: range, copies: float = 0.0) -> Counter[str]:
    seen: Counter[str] = Counter()
    for seed in seeds:
        try:
            story, gateway = live(seed, copies)
            check(story, gateway)
        except AssertionError as error:
            raise AssertionError(f"live({seed}, {copies}) shows it again") from error
        seen["requests"] += len(story.order.requests)
        made = {str(o.operation_id) for o in story.history.values() if o.state == "approved"}
        seen["late copies"] += len(gateway.late - made)
    return seen


@pytest.mark.parametrize("part", range(4))
def test_whatever_comes_in_whatever_order_the_books_end_as_the_gateways(part: int) -> None:
    assert _live_all(range(part * SEEDS // 4, (part + 1) * SEEDS // 4))["requests"] > SEEDS


def test_copies_of_calls_that_come_when_the_calls_have_ended_are_in_the_books_too() -> None:
    assert _live_all(range(SEEDS), 0.3)["late copies"] > 0
