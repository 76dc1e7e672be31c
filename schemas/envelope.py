"""The headers of a message: CloudEvents 1.0 in Kafka's binary form. Nothing of the meaning lives here alone."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from schemas.records import Event

SOURCE: Final = "/payments"
CONTENT_TYPE: Final = "application/avro"


_VERSION: Final = ("ce_specversion", b"1.0")
_CONTENT: Final = ("content-type", CONTENT_TYPE.encode())
Header = tuple[str, bytes]


def headers(event: Event, source: str = SOURCE, traceparent: str | None = None) -> list[Header]:
    """Describe an event for readers that do not decode it; all values are UTF-8.

    source is a URI reference to who publishes. traceparent is W3C's, of this hop.
    """
    described = headers_of(str(event.event_id), event.TYPE, event.occurred_at, event.order_id.encode(), source)
    if traceparent is not None:
        described.append(("traceparent", traceparent.encode()))
    return described


def headers_of(
    event_id: str, event_type: str, occurred_at: datetime, order_id: bytes, source: str = SOURCE
) -> list[Header]:
    """Describe an event of which these parts are at hand; the same headers as for the event itself."""
    return [
        _VERSION,
        ("ce_id", event_id.encode()),
        _source(source),
        _type(event_type),
        _time(occurred_at),
        ("ce_subject", order_id),
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
    """Write the time once for the many events of one transaction."""
    return ("ce_time", occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z").encode())
