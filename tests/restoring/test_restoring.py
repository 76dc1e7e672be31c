"""The short form of the drill: a few orders, some seconds lost."""

import pytest

from tests.minds.__main__ import text
from tests.minds.run import FEW, Wanted
from tests.restoring.__main__ import drill

pytestmark = [pytest.mark.whole, pytest.mark.kill, pytest.mark.timeout(900)]
SHORT = Wanted(seed=1, rate=6.0, window_s=120.0)


def test_a_database_restored_amid_the_load_charges_nobody_twice_and_loses_nothing() -> None:
    result = drill(SHORT, print, orders=40, requests=40, lost_at=0.6, ago_s=6.0, roles=FEW)
    assert result.holds, "\n".join(text(SHORT, result))
    assert any("--apply" in step for step in result.killed), "it was restored"
