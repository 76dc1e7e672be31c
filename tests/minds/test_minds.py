"""Cancels and refunds on request on real processes: a short form of both in one world, and longer ones apart."""

import pytest

from tests.minds.__main__ import text
from tests.minds.run import FEW, Wanted, run

pytestmark = [pytest.mark.whole, pytest.mark.kill, pytest.mark.timeout(900)]
SHORT = Wanted(seed=1, rate=15.0, kills=1, early_wait_s=10.0, window_s=6.0)
LONG = Wanted(seed=2, kills=8)


def test_whenever_somebody_changes_their_mind_money_and_goods_end_where_they_belong() -> None:
    result = run(SHORT, print, cancels=90, refunds=150, roles=FEW)
    assert result.holds, "\n".join(text(SHORT, result))


@pytest.mark.long
def test_cancelled_at_any_point_amid_kills_each_order_ends_cancelled_or_refused_with_its_reason() -> None:
    result = run(LONG, print, cancels=600)
    assert result.holds, "\n".join(text(LONG, result))


@pytest.mark.long
def test_refund_requests_doubled_and_racing_amid_kills_never_give_back_more_than_was_taken() -> None:
    result = run(LONG, print, refunds=2_000)
    assert result.holds, "\n".join(text(LONG, result))
