"""An outage that was told is told to be over, however the wait for it ends."""

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from consumers.runtime.bounds import Bounds
from consumers.runtime.guard import Guard, Stopped
from domain.errors import Busy, Permanent, Violated


class Runs:
    """A transaction that raises these, one after the other; the last again and again."""

    def __init__(self, outcomes: Sequence[Exception]) -> None:
        self._outcomes = list(outcomes)

    async def __call__(self, contended: bool) -> None:  # noqa: FBT001 - as the guard calls
        raise self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]


@pytest.mark.parametrize(
    ("last", "raised"), [(KeyError("a bug"), KeyError), (Violated("the same constraint"), Permanent)]
)
async def test_an_alarm_ends_though_the_work_raises_once_the_wait_is_over(
    last: Exception, raised: type[Exception]
) -> None:
    with capture_logs() as log, pytest.raises(raised):
        await Guard(Bounds()).transact("a loop", Runs([Busy("held"), last]))
    assert [line["event"] for line in log] == ["waiting", "going on"]


async def test_who_is_told_to_stop_during_an_outage_does_not_say_that_it_is_over() -> None:
    stop = asyncio.Event()
    stop.set()
    with capture_logs() as log, pytest.raises(Stopped):
        await Guard(Bounds()).transact("a loop", Runs([Busy("held")]), stop)
    assert [line["event"] for line in log] == ["waiting"]
