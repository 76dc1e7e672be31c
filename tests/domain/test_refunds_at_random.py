"""Refunds on request, of somebody else, pending, lost, failing later, in any order: the books end as the gateway's."""

from random import Random
from typing import Any, Final

import pytest

from consumers.gateway_told import ROWS
from domain.failure_codes import FailureCode
from domain.hearing import ForeignRefund, Hearing, attempt_of, hear, with_closed
from domain.news import RefundFailure, SeenRefund, TransactionNews
from domain.operation import Operation
from domain.order import Status
from domain.outcome import Approved, Declined, GatewayOutcome, NotFound, Pending, ReturnedElsewhere, Unknown
from domain.pending import AT_OTHERS
from domain.requests import RequestState
from domain.ruling import Word
from schemas import events as e
from tests.domain.asked_refunds import Play
from tests.domain.builders import ORDER_ID, TOTAL

STEPS: Final = 40
SEEDS: Final = 200


class Gateway:
    """What truly happened: one payment of TOTAL, and its refunds by the operation that made them."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.refunds: dict[str, dict[str, Any]] = {}

    def back(self, *states: str) -> int:
        return sum(r["amount"] for r in self.refunds.values() if r["state"] in states)

    def perform(self, call: Operation) -> GatewayOutcome:
        """Make the refund of a call, once; its answer may be lost."""
        name = str(call.operation_id)
        if name not in self.refunds:
            if TOTAL - self.back("succeeded", "pending") < call.amount_minor:
                return self._explain(call)
            if self.rng.random() < 0.08:
                return Declined(FailureCode.GATEWAY_REFUSED, "generic_decline", "pi_1")
            state = self.rng.choice(("succeeded", "succeeded", "pending"))
            self.refunds[name] = {"id": f"re_{len(self.refunds)}", "amount": call.amount_minor, "state": state}
            if self.rng.random() < 0.2:
                return Unknown("time-out")
        return self.look_up(call)

    def look_up(self, call: Operation) -> GatewayOutcome:
        """Say what became of a call."""
        made = self.refunds.get(str(call.operation_id))
        if made is None:
            return self._explain(call) if call.detail == AT_OTHERS else self.perform(call)
        match made["state"]:
            case "succeeded":
                return Approved("pi_1", made["id"], made["amount"])
            case "pending":
                return Pending(made["id"], "pi_1")
            case _:
                return Declined(FailureCode.GATEWAY_REFUSED, "refund_failed", "pi_1")

    def _explain(self, call: Operation) -> GatewayOutcome:
        if TOTAL - self.back("succeeded", "pending") >= call.amount_minor:
            return NotFound()
        if self.back("pending"):
            return Pending(None, "pi_1", AT_OTHERS)
        newest = next(r["id"] for r in reversed(self.refunds.values()) if r["state"] == "succeeded")
        return ReturnedElsewhere(self.back("succeeded"), newest)

    def act_elsewhere(self) -> None:
        """Have somebody refund a little in the dashboard."""
        amount = min(self.rng.randrange(1, 600), TOTAL - self.back("succeeded", "pending"))
        if amount > 0:
            name = f"foreign {len(self.refunds)}"
            self.refunds[name] = {"id": f"re_{len(self.refunds)}", "amount": amount, "state": "succeeded"}

    def decide(self) -> None:
        """Decide what is pending."""
        for made in self.refunds.values():
            if made["state"] == "pending":
                made["state"] = self.rng.choice(("succeeded", "succeeded", "failed"))

    def fail_late(self) -> RefundFailure | None:
        """Have a refund of ours fail after it had succeeded."""
        ours = [(n, r) for n, r in self.refunds.items() if r["state"] == "succeeded" and not n.startswith("foreign")]
        if not ours:
            return None
        name, made = self.rng.choice(ours)
        made["state"] = "failed"
        return RefundFailure(ORDER_ID, name, made["id"], made["amount"], "lost_or_stolen_card")

    def news(self) -> TransactionNews:
        seen = tuple(
            SeenRefund(r["id"], None if n.startswith("foreign") else n, r["state"], r["amount"], "EUR")
            for n, r in self.refunds.items()
        )
        return TransactionNews("pi_1", ORDER_ID, None, "EUR", captured_minor=TOTAL, refunds=seen)


class Story(Play):
    """A play with a gateway that keeps its own books."""

    def told(self, fact: Any) -> None:  # type: ignore[override]
        """Hear what the gateway tells unasked, as the sweep does."""
        order = with_closed(self.order, list(self.history.values()))
        attempt = attempt_of(order, "pi_1", None)
        decision = hear(ROWS, Hearing(order, fact, self.context(), attempt))
        if decision is not None:
            self.take(decision)

    def hear_all(self, gateway: Gateway) -> None:
        self.hear(gateway.news())

    def hear(self, news: TransactionNews) -> None:
        """Hear what the gateway said. It may have been a while ago: we ask without a lock, and other calls go on."""
        for refund in news.refunds:
            if refund.operation_id is not None and refund.state == "failed":
                self.told(
                    RefundFailure(
                        ORDER_ID, refund.operation_id, refund.refund_id, refund.amount_minor, refund.reason, news
                    )
                )
            if refund.operation_id is None:
                self.told(ForeignRefund(refund, news))

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


def live(seed: int) -> tuple[Story, Gateway]:
    """Let anything happen for a while; then let everything come to its end."""
    rng = Random(seed)
    story, gateway = Story(), Gateway(rng)
    asked = gateway.news()
    for n in range(STEPS):
        match rng.randrange(6):
            case 0:
                asked = gateway.news()
            case 1:
                story.hear(asked)
            case _:
                _step(story, gateway, rng, n)
    for _ in range(400):
        gateway.decide()
        story.hear_all(gateway)
        story.answer_one(gateway, rng)
        story.rule_if_needed(gateway)
        before = story.order
        story.hear_all(gateway)
        under_way = any(o.unfinished for o in before.operations) or before.status is Status.MANUAL_REVIEW
        if not under_way and story.order == before:
            break
    return story, gateway


def _step(story: Story, gateway: Gateway, rng: Random, n: int) -> None:
    match rng.randrange(20):
        case 0 | 1 | 2 | 3 | 4:
            story.ask(f"R-{n}", rng.choice((None, rng.randrange(1, 900), rng.randrange(1, 900))))
        case 5:
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


@pytest.mark.parametrize("part", range(4))
def test_whatever_comes_in_whatever_order_the_books_end_as_the_gateways(part: int) -> None:
    ended = 0
    for seed in range(part * SEEDS // 4, (part + 1) * SEEDS // 4):
        story, gateway = live(seed)
        order = story.order
        assert not any(o.unfinished for o in order.operations), seed
        assert order.status is Status.PAID_AND_CONFIRMED, (seed, order.review_reason, story.states())
        assert order.current.refunded_minor == gateway.back("succeeded"), seed
        states = {r.state for r in order.requests}
        assert states <= {RequestState.DONE, RequestState.REFUSED}, (seed, story.states())
        told = sum(event.amount_minor for event in story.events if isinstance(event, e.PaymentRefunded))
        failed = sum(event.amount_minor for event in story.events if isinstance(event, e.PaymentRefundFailed))
        assert told - failed == order.current.refunded_minor, seed
        done = sum(r.returned_minor for r in order.requests)
        foreign = sum(r["amount"] for n, r in gateway.refunds.items() if n.startswith("foreign"))
        assert done + foreign == order.current.refunded_minor, seed
        ended += len(order.requests)
    assert ended > SEEDS
