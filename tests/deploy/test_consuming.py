"""The consumer of the internal stock runs only if the stock is internal."""

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumers.reactions import REACTIONS
from consumers.stock_adjusted import adjust_stock
from deploy.consuming import all_consumed, check_consumed, consumed_with
from deploy.settings import SettingsError

INTERNAL: Any = SimpleNamespace(inventory="internal")
ELSEWHERE: Any = SimpleNamespace(inventory="http")


def test_with_internal_stock_every_consumer_runs() -> None:
    with capture_logs() as log:
        assert tuple(all_consumed(INTERNAL)) == REACTIONS
    assert log == []
    check_consumed(INTERNAL, [adjust_stock])


def test_with_stock_elsewhere_all_leaves_it_out_and_to_name_it_is_refused() -> None:
    with capture_logs() as log:
        assert set(REACTIONS) - set(all_consumed(ELSEWHERE)) == {adjust_stock}
    assert [line["event"] for line in log] == ["StockAdjusted is not consumed: stock is kept elsewhere"]
    check_consumed(ELSEWHERE, consumed_with(ELSEWHERE))
    with pytest.raises(SettingsError, match="PAYMENTS_INVENTORY"):
        check_consumed(ELSEWHERE, [adjust_stock])
