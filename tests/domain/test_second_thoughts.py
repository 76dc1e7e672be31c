"""Thousands of short lives of an order whose customer changes their mind; the pure counterpart of tests/model.

A seeded random walk as in test_machine.py, with cancels, refunds on request, PreparationStarted, messages that come
before their order, refunds that fail after they had succeeded, and an operator who rules on all of it. Then the faults
stop, and what is under way ends: every request is done or refused, and all money and goods are where the status says.
"""

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Final

import pytest

from domain.order import HoldState, Status
from domain.requests import RequestKind, RequestState
from schemas import events as e
from tests.domain.builders import TOTAL
from tests.domain.driver import LINES
from tests.domain.second_thoughts import Life

S = Status
LIVES: Final = 4_000
CHUNK: Final = 500
STEPS: Final = 90
QUIET_MAX: Final = 400

_WEIGHTS: Final = {
    "deliver": 30,
    "act": 25,
    "sweep": 12,
    "settle": 8,
    "wait": 10,
    "deliver_again": 4,
    "click": 4,
    "arrive": 4,
    "expire": 2,
    "rival": 1,
    "pending": 3,
    "act_for_customer": 2,
    "operate": 2,
    "cancel": 1,
    "ask_refund": 4,
    "prepare": 1,
    "take_back": 1,
    "refund_in_dashboard": 0.3,
    "dispute": 0.3,
    "tell": 2,
    "sweep_early": 3,
}
NONE: Final[Mapping[str, float]] = {}
_PAUSES: Final = (0.1, 1, 5, 10, 30, 61, 400, 1_000, 4_000)


def step(life: Life, weights: Mapping[str, float] = NONE) -> None:
    """Have one thing happen. weights: other than the usual ones."""
    rng, chances = life.rng, {**_WEIGHTS, **weights}
    match rng.choices(tuple(chances), tuple(chances.values()))[0]:
        case "settle":
            if life.answers:
                life.settle(rng.randrange(len(life.answers)))
        case "wait":
            life.wait(rng.choice(_PAUSES) if rng.random() < 0.97 else rng.choice((20_000, 90_000)))
        case "pending":
            life.gateway.resolve_pending()
        case name:
            getattr(life, name)()


def quiet(life: Life) -> None:
    """Let everything that is under way come to its end, without further faults."""
    life.faults = False
    for _ in range(QUIET_MAX):
        life.deliver()
        life.sweep_early()
        life.sweep()
        while life.claims:
            life.act()
        while life.answers:
            life.settle(0)
        if life.gateway.disputed:
            life.dispute()
        life.tell()
        life.operate()
        life.gateway.resolve_pending()
        order = life.order
        busy = order is None or order.status is S.MANUAL_REVIEW or any(o.unfinished for o in order.operations)
        if not (busy or life.is_untold() or life.undelivered or life.waiting or life.claims):
            break
        life.wait(life.rng.choice((1, 61, 1_000)))
    else:
        raise AssertionError("the order never comes to rest")
    while life.late:
        life.arrive()
    life.expire()


def _live(seed: str) -> Life:
    life = Life(Random(seed))
    for _ in range(STEPS):
        step(life)
    quiet(life)
    return life


def check_requests(life: Life) -> None:
    order = life.order
    assert order is not None
    assert order.status in {S.PAID_AND_CONFIRMED, S.PAYMENT_FAILED, S.CANCELLED}
    assert [request for request in order.requests if not request.ended] == []
    told = Counter((type(event), getattr(event, "request_id", None)) for event in life.journal)
    for request in order.requests:
        cancel = request.kind is RequestKind.CANCEL
        refused = told[e.CancellationRefused if cancel else e.RefundRefused, request.request_id]
        assert refused == (request.state is RequestState.REFUSED), request
        if cancel:
            assert (told[e.OrderCancelled, request.request_id] > 0) == (request.state is RequestState.DONE)
    done = [r for r in order.requests if r.kind is RequestKind.CANCEL and r.state is RequestState.DONE]
    assert len(done) == (order.status is S.CANCELLED)
    paid = sum(isinstance(event, e.PaidAndConfirmed) for event in life.journal)
    assert paid == 1 if order.status is S.PAID_AND_CONFIRMED else paid <= (order.status is S.CANCELLED)
    if order.status is S.CANCELLED and order.preparation_started_at is not None:
        assert life.alarms["preparation_of_cancelled"] == 1
    assert all(attempt.token is None for attempt in order.attempts)


def check_money(life: Life) -> None:
    order, gateway = life.order, life.gateway
    assert order is not None
    if life.is_overpaid():
        assert life.gateway.foreign(order.attempt), "who gave back too much"
        return  # the notice of it stays kept, and rings
    for attempt in order.attempts:
        account = gateway.accounts.get(attempt.number)
        captured = TOTAL if account is not None and account.captured else 0
        outside = life.outside_minor[attempt.number]
        assert attempt.captured_minor == captured
        assert attempt.refunded_minor == gateway.returned_minor(attempt.number) + outside <= captured
        assert attempt.held_minor == 0
        assert account is None or not account.held
        if order.status is not S.PAID_AND_CONFIRMED or attempt.number != order.attempt:
            assert attempt.kept_minor == 0
        events = [event for event in life.journal if getattr(event, "attempt", 0) == attempt.number]
        back = sum(event.amount_minor for event in events if isinstance(event, e.PaymentRefunded))
        lost = sum(event.amount_minor for event in events if isinstance(event, e.PaymentRefundFailed))
        assert back - lost == attempt.refunded_minor
    for request in order.requests:
        if request.kind is RequestKind.REFUND:
            events = [event for event in life.journal if getattr(event, "request_id", None) == request.request_id]
            back = sum(event.amount_minor for event in events if isinstance(event, e.PaymentRefunded))
            lost = sum(event.amount_minor for event in events if isinstance(event, e.PaymentRefundFailed))
            assert back - lost == request.returned_minor
            if request.amount_minor is not None and request.state is RequestState.DONE:
                # Of a cancelled order a refund gives back what others have left of it.
                less = order.status is S.CANCELLED and any(gateway.foreign(n.number) for n in order.attempts)
                assert request.returned_minor <= request.amount_minor
                assert request.returned_minor == request.amount_minor or less
    if order.status is S.PAID_AND_CONFIRMED:
        asked = sum(r.returned_minor for r in order.requests if r.kind is RequestKind.REFUND)
        cancels = [r for r in order.requests if r.kind is RequestKind.CANCEL and r.taken_at is not None]
        named = {o.reference for o in life.history.values() if o.for_request is not None and o.state == "approved"}
        foreign = sum(made.amount_minor for made in gateway.foreign(order.attempt) if made.name not in named)
        assert cancels or order.current.refunded_minor == asked + foreign


def _check_goods(life: Life) -> None:
    order, shelf = life.order, life.shelf
    assert order is not None
    same = {HoldState.EXPIRED: HoldState.RELEASED, HoldState.RESTOCKED: HoldState.SOLD}
    assert {hold.attempt: same.get(hold.state, hold.state) for hold in order.holds} == shelf.holds
    sold = [hold.attempt for hold in order.holds if hold.state is HoldState.SOLD]
    assert all(hold.state is not HoldState.HELD for hold in order.holds)
    if order.status is S.PAID_AND_CONFIRMED:
        back = [hold.attempt for hold in order.holds if hold.state is HoldState.RESTOCKED]
        assert back == ([order.attempt] if shelf.back == Counter(LINES) else [])
        assert sold + back == [order.attempt]
    else:
        left = {sku: n - shelf.back[sku] for sku, n in LINES.items()}
        assert sold == [] or not any(left.values())
    taken = any(state is HoldState.SOLD for state in shelf.holds.values())
    assert +shelf.back == Counter() or taken
    if order.status is S.CANCELLED and taken:
        assert shelf.back == Counter(LINES)
    copies = {(shelf.available[sku] + (taken + shelf.rivals) * n - shelf.back[sku]) / n for sku, n in LINES.items()}
    assert copies in ({1.0}, {2.0})
    told: Counter[str] = Counter()
    for event in life.journal:
        if isinstance(event, e.ItemsRestocked):
            told.update({line.sku: line.quantity for line in event.lines})
    assert +told == +shelf.back


def check_history(life: Life) -> None:
    assert life.order is not None
    places = [(event.order_version, event.ordinal) for event in life.journal]
    assert len(set(places)) == len(places) == len({event.event_id for event in life.journal})
    assert places == sorted(places)


ENDINGS: Final[Counter[str]] = Counter()
LIVED: Final[set[int]] = set()
CHUNKS: Final = range(0, LIVES, CHUNK)


def _count(life: Life) -> None:
    order = life.order
    assert order is not None
    ENDINGS[order.status] += 1
    ENDINGS["paid, then cancelled"] += (S.PAID_AND_CONFIRMED, S.CANCELLED) in life.moves
    ENDINGS["settled by an operator"] += life.operated > 0
    ENDINGS["paid past the gateway"] += life.outside_minor.total() > 0
    ENDINGS["restocked"] += life.shelf.back.total() > 0
    ENDINGS["preparation of a cancelled order"] += life.alarms["preparation_of_cancelled"]
    for request in order.requests:
        ENDINGS[f"{request.kind} {request.refused or request.state}"] += 1
    ENDINGS["refunded in the dashboard"] += "dashboard" in life.gateway.refunds
    ENDINGS["disputed"] += life.gateway.was_disputed
    ENDINGS["failed after success"] += any(isinstance(event, e.PaymentRefundFailed) for event in life.journal)


def _lives(first: int) -> None:
    for n in range(first, first + CHUNK):
        seed = f"second thoughts {n}"
        try:
            life = _live(seed)
            for check in (check_requests, check_money, _check_goods, check_history):
                check(life)
        except Exception as error:
            raise AssertionError(f"seed {seed!r}: _live({seed!r}) shows it again") from error
        _count(life)
    LIVED.add(first)


@pytest.mark.parametrize("first", CHUNKS)
def test_whatever_is_asked_of_an_order_all_money_and_goods_are_in_place_at_its_end(first: int) -> None:
    _lives(first)


def test_the_lives_were_eventful() -> None:
    for first in set(CHUNKS) - LIVED:
        _lives(first)
    wanted = (
        *(S.PAID_AND_CONFIRMED, S.PAYMENT_FAILED, S.CANCELLED),
        *(
            "paid, then cancelled",
            "settled by an operator",
            "paid past the gateway",
            "restocked",
            "disputed",
            "refunded in the dashboard",
        ),
        *("cancel done", "cancel TOO_LATE", "cancel ALREADY_CANCELLED", "cancel PAYMENT_FAILED"),
        *("cancel PREPARATION_STARTED", "refund done", "refund EXCEEDS_KEPT", "refund NOT_PAID", "refund CANCELLED"),
        *("refund IN_REVIEW", "refund DISPUTED", "failed after success", "preparation of a cancelled order"),
    )
    assert [name for name in wanted if ENDINGS[name] < LIVES // 400] == [], ENDINGS
