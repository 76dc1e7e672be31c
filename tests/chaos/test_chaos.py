"""The short form of `make chaos`: every kind of fault once, while orders of every kind flow."""

import pytest

from tests.chaos.plan import EACH_ONCE
from tests.chaos.report import text
from tests.chaos.run import Wanted, run

SEED = 1
ORDERS = 900

pytestmark = [pytest.mark.whole, pytest.mark.kill, pytest.mark.timeout(600)]


def test_whatever_is_dealt_to_the_real_thing_no_order_is_lost_doubled_or_left_waiting() -> None:
    result = run(Wanted(ORDERS, EACH_ONCE, SEED), print)
    assert result.verdict is not None
    assert result.verdict.holds, "\n".join(text(SEED, result))
