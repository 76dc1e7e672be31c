"""The headers of a message: CloudEvents 1.0 in Kafka's binary form. Nothing of the meaning lives here alone."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from schemas.records import Event

SOURCE: Final = "/payments"
CONTENT_TYPE: Final = "application/avro"


def headers(event: Event, source: str = SOURCE, traceparent: str | None = None) -> list[tuple[str, bytes]]:
    """Describe an event for readers that do not decode it; all values are UTF-8.

    source is a URI reference to who publishes. traceparent is W3C's, of this hop.
    """
    return headers_of(event.event_id, event.TYPE, event.occurred_at, event.order_id, source, traceparent)


def headers_of(
    event_id: UUID,
    event_type: str,
    occurred_at: datetime,
    order_id: str,
    source: str = SOURCE,
    traceparent: str | None = None,
) -> list[tuple[str, bytes]]:
    """Describe an event of which these parts are at hand; the same headers as for the event itself."""
    described = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(event_id).encode()),
        ("ce_source", source.encode()),
        ("ce_type", event_type.encode()),
        ("ce_time", occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z").encode()),
        ("ce_subject", order_id.encode()),
        ("content-type", CONTENT_TYPE.encode()),
    ]
    if traceparent is not None:
        described.append(("traceparent", traceparent.encode()))
    return described
