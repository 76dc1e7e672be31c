"""The headers of a message: CloudEvents 1.0 in Kafka's binary mode. They only repeat what the event says.

A relay makes them of an event's parts, so no model is loaded here.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from schemas.records import Event

SOURCE: Final = "/payments"
CONTENT_TYPE: Final = "application/avro"

_VERSION: Final = ("ce_specversion", b"1.0")
_CONTENT: Final = ("content-type", CONTENT_TYPE.encode())
Header = tuple[str, bytes]


def headers(event: "Event", source: str = SOURCE, traceparent: str | None = None) -> list[Header]:
    """Return the headers of an event, for readers that do not decode it. All values are UTF-8.

    source: a URI reference to the publisher. traceparent: W3C's trace context of this hop.
    """
    described = headers_of(str(event.event_id), event.TYPE, event.occurred_at, event.subject.encode(), source)
    if traceparent is not None:
        described.append(("traceparent", traceparent.encode()))
    return described


def headers_of(
    event_id: str, event_type: str, occurred_at: datetime, subject: bytes, source: str = SOURCE
) -> list[Header]:
    """Return the same headers as `headers`, from the parts of an event."""
    return [
        _VERSION,
        ("ce_id", event_id.encode()),
        _source(source),
        _type(event_type),
        _time(occurred_at),
        ("ce_subject", subject),
        _CONTENT,
    ]


@lru_cache(maxsize=16)
def _source(source: str) -> Header:
    return ("ce_source", source.encode())


@lru_cache(maxsize=64)
def _type(event_type: str) -> Header:
    return ("ce_type", event_type.encode())


@lru_cache(maxsize=1_024)
def _time(occurred_at: datetime) -> Header:
    """Format the time once for the many events of one transaction."""
    return ("ce_time", occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z").encode())
