"""An alarm about what lasts wakes somebody once, again when nobody has answered for long, and its end is told."""

from typing import Any

from domain.alarms import ALARMS, REMIND_S, Lasting, ring


class Lines:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.errors: list[dict[str, Any]] = []
        self.infos: list[dict[str, Any]] = []

    def error(self, event: str, **fields: Any) -> None:
        self.errors.append({"event": event, **fields})

    def info(self, event: str, **fields: Any) -> None:
        self.infos.append({"event": event, **fields})


def test_an_alarm_says_what_it_is_about_and_what_to_do() -> None:
    lines = Lines()
    ring(lines, "kafka_down", "waiting", error="no broker")
    todo = ALARMS["kafka_down"].todo
    assert lines.errors == [
        {"event": "waiting", "alarm": True, "reason": "kafka_down", "todo": todo, "error": "no broker"}
    ]


def test_an_alarm_without_a_row_is_told_all_the_same() -> None:
    lines = Lines()
    ring(lines, "never_heard_of", "help", order_id="order-1")
    assert [line["reason"] for line in lines.errors] == ["never_heard_of"]


def test_what_lasts_is_rung_once_and_again_every_ten_minutes_and_its_end_is_told() -> None:
    lines = Lines()
    lasting = Lasting(lines, "kafka_down")
    lasting.end(0, "going on")
    assert lines.infos == []
    rang = [at for at in range(0, 3 * REMIND_S, 7) if lasting.again(at, "waiting", error="no broker")]
    assert rang == [0, 602, 1_204]
    assert [line.get("lasts_s") for line in lines.errors] == [None, 602, 1_204]
    lasting.end(1_800, "going on", failures=3)
    lasting.end(1_900, "going on", failures=3)
    assert lines.infos == [{"event": "going on", "lasted_s": 1_800, "failures": 3}]


def test_the_next_outage_is_an_alarm_of_its_own() -> None:
    lines = Lines()
    lasting = Lasting(lines, "kafka_down")
    for at in (0, 10):
        assert lasting.again(at, "waiting", error="no broker")
        assert not lasting.again(at + 1, "waiting", error="no broker")
        lasting.end(at + 2, "going on")
    assert len(lines.errors) == len(lines.infos) == 2
