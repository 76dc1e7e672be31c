"""The metrics of what the database and Kafka know. Only the sweep exports them."""

from typing import Final

from deploy.metrics.metric import By, Kind, Metric, Source

_GAUGE = Kind.GAUGE

OF_STATE: Final = (
    Metric(
        "payments_orders_unfinished",
        _GAUGE,
        ("status", "waits_for"),
        "Orders without an outcome. waits_for: `us`, `customer` (a step at the bank), `bank` (a payment that it "
        "processes) or `operator` (in quarantine).",
        By.SWEEP,
        Source.DATABASE,
    ),
    Metric(
        "payments_order_unfinished_oldest_age_seconds",
        _GAUGE,
        ("waits_for",),
        "How long the oldest of them has been under way, counted from its record on the topic or from its retry; "
        "0 if there is none.",
        By.SWEEP,
        Source.DATABASE,
    ),
    Metric(
        "payments_operations_unfinished",
        _GAUGE,
        ("operation", "state"),
        "Operations without an outcome: `open`, `pending` (accepted, the answer comes later) or `unknown`.",
        By.SWEEP,
        Source.DATABASE,
    ),
    Metric(
        "payments_operation_unknown_oldest_age_seconds",
        _GAUGE,
        (),
        "Since when the oldest unknown operation is unknown; 0 if none is.",
        By.SWEEP,
        Source.DATABASE,
    ),
    Metric("payments_outbox_messages", _GAUGE, (), "Messages that are still to be sent.", By.SWEEP, Source.DATABASE),
    Metric(
        "payments_outbox_oldest_age_seconds",
        _GAUGE,
        (),
        "Age of the oldest message that is still to be sent; 0 if there is none.",
        By.SWEEP,
        Source.DATABASE,
    ),
    Metric(
        "payments_dead_letters_waiting",
        _GAUGE,
        ("event", "reason"),
        "Dead letters that nobody has redriven or given up.",
        By.SWEEP,
        Source.DATABASE,
    ),
    Metric(
        "payments_quarantine_waiting",
        _GAUGE,
        ("kind",),
        "What waits in quarantine: a `letter` (with those behind it), an `operation`, an `order`, or a `message` of "
        "the outbox.",
        By.SWEEP,
        Source.DATABASE,
    ),
    Metric(
        "payments_reviews_open",
        _GAUGE,
        ("reason",),
        "Orders that wait for a person, by the reason of the review.",
        By.SWEEP,
        Source.DATABASE,
    ),
    Metric(
        "payments_review_oldest_age_seconds",
        _GAUGE,
        (),
        "Since when the oldest of them is under review; 0 if there is none.",
        By.SWEEP,
        Source.DATABASE,
    ),
    Metric(
        "payments_customer_messages",
        _GAUGE,
        ("state",),
        "Messages to customers: `waiting` to be sent, or `given_up` until an operator has them tried again.",
        By.SWEEP,
        Source.DATABASE,
    ),
    Metric(
        "payments_audit_holds",
        _GAUGE,
        (),
        "1 if the last audit of changed orders found every invariant to hold, else 0.",
        By.SWEEP,
        Source.DATABASE,
    ),
    Metric(
        "payments_audit_violations",
        _GAUGE,
        ("invariant",),
        "Violations that it found, by the number of the invariant. They are looked at again until they are gone.",
        By.SWEEP,
        Source.DATABASE,
    ),
    Metric(
        "payments_audit_age_seconds",
        _GAUGE,
        (),
        "How far behind it is: what changed before that time is judged, whichever process ran it.",
        By.SWEEP,
        Source.DATABASE,
    ),
    Metric("payments_audit_orders", _GAUGE, (), "Orders that the last audit looked at.", By.SWEEP, Source.DATABASE),
    Metric(
        "payments_consumer_lag_messages",
        _GAUGE,
        ("group", "topic"),
        "Messages between a group's committed offsets and the last stable offsets, also of a group without members.",
        By.SWEEP,
        Source.KAFKA,
    ),
    Metric(
        "payments_consumer_lag_seconds",
        _GAUGE,
        ("group", "topic"),
        "Age of the oldest record behind a committed offset, by its time-stamp; 0 if there is none.",
        By.SWEEP,
        Source.KAFKA,
    ),
)
