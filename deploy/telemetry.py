"""The log: console or JSON lines on stderr, with the ids of the current work, and never a card number.

Loggers are structlog's; our packages below deploy make theirs with `structlog.get_logger()`. Libraries that use
`logging` are included from WARNING on: at lower levels some write bodies and parameters, with tokens in them.
"""

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.contextvars import merge_contextvars
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.typing import Processor

from deploy.settings import Settings
from deploy.views.terminal import visible
from schemas.cards import mask

LogFormat = Literal["console", "json"]

OUR_LOGGERS = ("deploy", "consumers", "producers", "outbox", "__main__")

# Ids, SKUs and times are never card numbers, but a tenth of random digits pass the checksum.
NEVER_MASKED = frozenset(
    {
        "order_id",
        "order_ids",
        "event_id",
        "correlation_id",
        "causation_id",
        "customer_id",
        "operation_id",
        "reservation_id",
        "sku",
        "timestamp",
        "offset",
        "logger",
        "level",
    }
)
DEPTH_MAX = 6
TRACES = frozenset({"exception", "stack"})


def configure(
    log_format: LogFormat = "console",
    level: str = "INFO",
    *,
    library_level: str = "WARNING",
    stream: TextIO | None = None,
) -> None:
    """Send every log line of this process to stream (default: stderr), as text or as one JSON object a line.

    level: the lowest level that our own packages log. library_level: the same for all others. May be called again.
    """
    shared: list[Processor] = [
        merge_contextvars,
        _tell_alarms,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _mask_cards,
    ]
    renderers: list[Processor]
    if log_format == "json":
        renderers = [structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]
    else:
        renderers = [_lower_booleans, _make_visible, structlog.dev.ConsoleRenderer(colors=False, sort_keys=False)]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(library_level)
    for name in OUR_LOGGERS:
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


_hears_alarm: list[Callable[[str], None]] = []


def hear_alarms(hear: Callable[[str], None]) -> None:
    """Have this called with the reason of every alarm of this process, in place of what was called before."""
    _hears_alarm[:] = [hear]


def _tell_alarms(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if event.get("alarm") is True:
        for hear in _hears_alarm:
            hear(str(event.get("reason")))
    return event


def _mask_cards(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask every card number in every string of a line, nested ones and tracebacks included."""
    for name, value in event.items():
        if name not in NEVER_MASKED and not name.startswith("_"):
            event[name] = _mask(value, DEPTH_MAX)
    return event


def _mask(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return mask(value.encode("utf-8", "replace"))[0].decode()
    if isinstance(value, bytes):
        return mask(value)[0].decode("utf-8", "backslashreplace")
    if depth and isinstance(value, Mapping):
        return {str(name): each if name in NEVER_MASKED else _mask(each, depth - 1) for name, each in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_mask(each, depth - 1) for each in value]
    return _mask(str(value), depth)


def _lower_booleans(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Write alarm=true on the console as in JSON, so that one search finds it in both."""
    for name, value in event.items():
        if isinstance(value, bool):
            event[name] = _Word(str(value).lower())
    return event


def _make_visible(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape control characters, because a terminal may show the line; a trace keeps its line ends."""
    for name, value in event.items():
        if type(value) is str:
            event[name] = "\n".join(map(visible, value.split("\n"))) if name in TRACES else visible(value)
    return event


class _Word(str):
    """Text that the console renderer shows without quotation marks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def quieten_kafka(settings: Settings) -> None:
    """Leave Kafka's client out of the log: it warns at every start, rebalance and outage.

    What matters of that is logged as an alarm or an error of ours. PAYMENTS_LOG_LEVEL=DEBUG shows its lines.
    """
    logging.getLogger("aiokafka").setLevel(logging.WARNING if settings.log_level == "DEBUG" else logging.CRITICAL)
