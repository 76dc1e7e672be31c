"""The lives of test_second_thoughts.py with the goods in an inventory elsewhere, whose answers are lost or late.

In the end both sides agree on what is held, sold and back, and all money is where the status says.
"""

from collections import Counter
from random import Random
from typing import Final

import pytest

from domain.order import HoldState, Status
from schemas import events as e
from tests.domain import test_second_thoughts as here
from tests.domain.driver import LINES
from tests.domain.second_thoughts_elsewhere import LifeElsewhere

LIVES: Final = 2_000
CHUNK: Final = 500
STEPS: Final = 160
ENDINGS: Final[Counter[str]] = Counter()
LIVED: Final[set[int]] = set()
CHUNKS: Final = range(0, LIVES, CHUNK)


def _live(seed: str) -> LifeElsewhere:
    life = LifeElsewhere(Random(seed))
    for _ in range(STEPS):
        # More calls, so that as many lives come as far as they do with the stock at home.
        here.step(life, {"act": 60, "deliver": 45, "settle": 14, "cancel": 0.6, "ask_refund": 3, "wait": 6, "sweep": 8})
    here.quiet(life)
    while life.late_stock:
        life.arrive()
    life.wait(100_000)  # whatever is still held by nobody's wish has run out
    life.far.lapse()
    return life


def _check_goods(life: LifeElsewhere) -> None:
    order, far = life.order, life.far
    assert order is not None
    assert not any(operation.unfinished for operation in order.operations)
    assert all(hold.state is not HoldState.HELD for hold in order.holds)
    states = Counter(hold.state for hold in far.holds.values())
    assert states["held"] == 0
    assert states["confirmed"] == far.sold <= 1
    if order.status is Status.PAID_AND_CONFIRMED:
        assert life.hold_state(order.attempt) == "confirmed"
    elif far.sold:
        assert far.back == Counter(LINES)
    copies = 1 + (life.shelf.available["SKU-1"] > LINES["SKU-1"])
    away = {sku: n * (far.rivals + far.sold) - far.back[sku] for sku, n in LINES.items()}
    assert far.available == {sku: n * copies - away[sku] for sku, n in LINES.items()}
    told: Counter[str] = Counter()
    for event in life.journal:
        if isinstance(event, e.ItemsRestocked):
            told.update({line.sku: line.quantity for line in event.lines})
    assert +told == +far.back


def _lives(first: int) -> None:
    for n in range(first, first + CHUNK):
        seed = f"elsewhere thoughts {n}"
        try:
            life = _live(seed)
            for check in (here.check_requests, here.check_money, here.check_history):
                check(life)
            _check_goods(life)
        except Exception as error:
            raise AssertionError(f"seed {seed!r}: _live({seed!r}) shows it again") from error
        assert life.order is not None
        ENDINGS[life.order.status] += 1
        ENDINGS["restocked"] += life.far.back.total() > 0
        ENDINGS["sold there, never paid here"] += life.far.sold > any(
            isinstance(event, e.PaidAndConfirmed) for event in life.journal
        )
        ENDINGS["extended while selling"] += life.extended > 0
    LIVED.add(first)


@pytest.mark.parametrize("first", CHUNKS)
def test_whatever_is_asked_of_an_order_both_sides_agree_at_its_end(first: int) -> None:
    _lives(first)


def test_the_lives_were_eventful() -> None:
    for first in set(CHUNKS) - LIVED:
        _lives(first)
    wanted = (Status.PAID_AND_CONFIRMED, Status.PAYMENT_FAILED, Status.CANCELLED, "restocked")
    assert [name for name in wanted if ENDINGS[name] < LIVES // 100] == [], ENDINGS
    assert ENDINGS["sold there, never paid here"] > 0, ENDINGS
