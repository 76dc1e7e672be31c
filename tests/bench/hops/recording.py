"""Keeps the spans of a measured process and writes them to a file when it ends, in place of sending them anywhere."""

from pathlib import Path
from typing import Any

import orjson

from deploy import processes
from deploy.metrics.instruments import Instruments
from deploy.settings import Settings
from deploy.tracing.conventions import MESSAGING_DESTINATION_NAME, MESSAGING_KAFKA_MESSAGE_KEY, ORDER_ID
from deploy.tracing.telling import Told
from deploy.tracing.traced import TracedInstruments


class FileRecorder:
    """deploy.tracing.telling.Recorder. A span is kept as it was told, and made into a line at the end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._told: list[Told] = []

    def record(self, told: Told) -> None:
        """Take a span."""
        self._told.append(told)

    def end(self) -> None:
        """Write all, a line each."""
        self._file.write_bytes(
            b"".join(orjson.dumps(_row(told), option=orjson.OPT_APPEND_NEWLINE) for told in self._told)
        )


def _row(told: Told) -> dict[str, Any]:
    """Write ids in hexadecimal: JSON has no integers of 128 bits."""
    return {
        "name": told.name,
        "began_ns": told.began_ns,
        "ended_ns": told.ended_ns,
        "trace": f"{told.context.trace_id:032x}",
        "topic": told.attributes.get(MESSAGING_DESTINATION_NAME),
        "order_id": told.attributes.get(ORDER_ID, told.attributes.get(MESSAGING_KAFKA_MESSAGE_KEY)),
        "links": [f"{link.trace_id:032x}" for link in told.links],
    }


def record_to(file: Path) -> None:
    """Have the command `payments` in this process tell every span, and keep them for this file."""

    def instruments_of(settings: Settings, names: str, stalled_after_s: float) -> Instruments:
        everything = settings.model_copy(update={"otel_sample": 1.0})
        return TracedInstruments(everything, names, stalled_after_s, FileRecorder(file))

    vars(processes)["instruments_of"] = instruments_of
