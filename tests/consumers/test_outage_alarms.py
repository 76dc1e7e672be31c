"""An outage wakes somebody once, not at every try, and the alarm says which dependency does not answer."""

from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from consumers.runtime.bounds import Bounds
from consumers.runtime.breaker import Breaker
from consumers.runtime.guard import Guard
from domain.errors import DownForEverybody, KafkaDown, RegistryDown, Transient

BOUNDS = Bounds(outage_backoff_max_s=0.001, breaker_failures=1, breaker_pause_s=0.001, breaker_pause_max_s=0.001)
TRIES = 50


@dataclass
class Down:
    """A transaction whose dependency is down for some tries."""

    error: Transient
    left: int = TRIES
    runs: list[bool] = field(default_factory=list)

    async def run(self, contended: bool) -> str:  # noqa: FBT001 - as Guard calls
        self.runs.append(contended)
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return "done"


@pytest.mark.parametrize(
    ("error", "dependency"),
    [
        (DownForEverybody("PostgreSQL does not answer"), "postgresql"),
        (Transient("PostgreSQL is busy"), "postgresql"),
        (RegistryDown("no answer"), "schema_registry"),
        (KafkaDown("no broker"), "kafka"),
    ],
)
async def test_an_outage_is_one_alarm_that_names_the_dependency_however_often_it_is_tried(
    error: Transient, dependency: str
) -> None:
    down = Down(error)
    with capture_logs() as log:
        assert await Guard(BOUNDS).transact("planner", down.run) == "done"
    assert len(down.runs) == TRIES + 1
    alarms = [line for line in log if line.get("alarm")]
    assert [(a["reason"], a["dependency"], a["name"], a["error"]) for a in alarms] == [
        ("dependency_down", dependency, "planner", str(error))
    ]
    assert [line["failures"] for line in log if line["event"] == "going on"] == [TRIES]


async def test_a_gateway_that_is_down_through_many_pauses_is_one_alarm() -> None:
    with capture_logs() as log:
        breaker = Breaker(BOUNDS)
        for _ in range(TRIES):
            breaker.note_failure("HTTP 429")
            await breaker.wait_until_closed()
        breaker.note_answer()
    assert [(line["reason"], line["why"]) for line in log if line.get("alarm")] == [("gateway_down", "HTTP 429")]
    assert [line["event"] for line in log][-1] == "the gateway answers again"
