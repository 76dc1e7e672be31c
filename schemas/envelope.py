"""The headers of a message: CloudEvents 1.0 in Kafka's binary form. Nothing of the meaning lives here alone."""

from typing import Final

from schemas.records import Event

SOURCE: Final = "/payments"
CONTENT_TYPE: Final = "application/avro"


def headers(event: Event, source: str = SOURCE, traceparent: str | None = None) -> list[tuple[str, bytes]]:
    """Describe an event for readers that do not decode it; all values are UTF-8.

    source is a URI reference to who publishes. traceparent is W3C's, of this hop.
    """
    described = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(event.event_id).encode()),
        ("ce_source", source.encode()),
        ("ce_type", event.TYPE.encode()),
        ("ce_time", event.occurred_at.isoformat().replace("+00:00", "Z").encode()),
        ("ce_subject", event.order_id.encode()),
        ("content-type", CONTENT_TYPE.encode()),
    ]
    if traceparent is not None:
        described.append(("traceparent", traceparent.encode()))
    return described
