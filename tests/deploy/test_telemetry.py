"""The log: ids on every line, card numbers on none, alarms that can be found."""

import io
import json
import logging
import random
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from deploy import telemetry
from domain.alarms import ALARMS, ring

CARD = "4242 4242 4242 4242"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    for name in telemetry.OUR_LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def logger() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("deploy.test")
    return log


def configured(log_format: telemetry.LogFormat = "json", level: str = "INFO") -> io.StringIO:
    stream = io.StringIO()
    telemetry.configure(log_format, level, stream=stream)
    return stream


def fail(token: str, message: str) -> None:
    assert token
    raise RuntimeError(message)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_console_line_shows_control_characters_and_obeys_none() -> None:
    stream = configured("console")
    try:
        fail("token", "line \x1b[31m")
    except RuntimeError:
        logger().exception("said \x1b[2J", detail="red\x1b[31m", key="c1\x9b", two="lines\nforged")
    shown = stream.getvalue()
    assert all(character.isprintable() or character == "\n" for character in shown), repr(shown)
    assert "said \\x1b[2J" in shown
    assert "detail=red\\x1b[31m" in shown
    assert shown.count("\n") > len(["the line", "its trace"])


def test_an_alarm_is_a_line_at_error_with_its_reason() -> None:
    stream = configured()
    ring(logger(), "produce_refused", "topic held", topic="PaymentFailed", outbox_id=7)
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "topic held",
        "alarm": True,
        "reason": "produce_refused",
        "todo": ALARMS["produce_refused"].todo,
        "topic": "PaymentFailed",
        "outbox_id": 7,
        "level": "error",
        "logger": "deploy.test",
    }


def test_an_alarm_on_the_console_can_be_found_by_the_same_words() -> None:
    stream = configured("console")
    ring(logger(), "produce_refused", "topic held")
    assert "alarm=true" in stream.getvalue()
    assert "reason=produce_refused" in stream.getvalue()
    assert "error" in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_card_numbers_are_masked_wherever_they_stand(log_format: telemetry.LogFormat) -> None:
    stream = configured(log_format)
    log = logger()
    log.warning("refused %s", CARD, body=CARD.encode(), nested={"a": [CARD, (CARD,)]}, other=ValueError(CARD))
    try:
        fail("pm_1", CARD)
    except RuntimeError:
        log.exception("failed")
    logging.getLogger("some.library").error("refused %s", CARD)
    text = stream.getvalue()
    assert "**** **** **** ****" in text
    assert CARD not in text
    assert CARD.replace(" ", "") not in text


def test_ids_are_never_masked() -> None:
    stream = configured()
    draw = random.Random(1)
    numbers = [str(draw.randrange(10**15, 10**16)) for _ in range(2000)]
    for number in numbers:
        logger().info("seen", order_id=number, sku=number, event_id=number, amount_minor=int(number))
    for number, line in zip(numbers, lines(stream), strict=True):
        assert (line["order_id"], line["sku"], line["event_id"]) == (number, number, number)
        assert line["amount_minor"] == int(number)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_tracebacks_show_no_local_values(log_format: telemetry.LogFormat) -> None:
    stream = configured(log_format)
    token = f"pm_{stream.getvalue()}_secret"
    try:
        fail(token, "boom")
    except RuntimeError:
        logger().exception("failed")
    assert "RuntimeError: boom" in stream.getvalue()
    assert token not in stream.getvalue()


def test_libraries_speak_from_warning_on_and_we_from_our_level_on() -> None:
    stream = configured(level="DEBUG")
    logging.getLogger("aiokafka").debug("Sending (key=%s value=%s)", "k", "pm_secret")
    logging.getLogger("aiokafka").info("Discovered")
    logging.getLogger("aiokafka").warning("Lost %s", "node")
    logger().debug("ours")
    assert [line["event"] for line in lines(stream)] == ["Lost node", "ours"]


def test_pythons_warnings_are_lines_too() -> None:
    stream = configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old ways", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "old ways" in lines(stream)[0]["event"]
