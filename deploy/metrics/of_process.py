"""The metrics of what a process did itself."""

from typing import Final

from deploy.metrics.metric import CALL_BUCKETS, OUTCOME_BUCKETS, SIZE_BUCKETS, WRITE_BUCKETS, By, Kind, Metric

_COUNTER, _GAUGE, _HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

OF_PROCESS: Final = (
    Metric("payments_process_info", _GAUGE, ("version", "roles"), "Always 1; the labels say what runs.", By.ALL),
    Metric(
        "payments_ready",
        _GAUGE,
        (),
        "1 once this process has begun to work, as `/ready` says; 0 again when its work has ended with an error.",
        By.ALL,
    ),
    Metric(
        "payments_loop_turn_age_seconds",
        _GAUGE,
        (),
        "Since the slowest loop of the process has made a turn. `/live` looks at the same.",
        By.ALL,
    ),
    Metric(
        "payments_alarms_total",
        _COUNTER,
        ("reason",),
        "Alarms rung in the log, by their reason (the table of alarms in deploy/README.md).",
        By.ALL,
    ),
    Metric(
        "payments_orders_total",
        _COUNTER,
        ("outcome", "reason"),
        "Outcomes told: `paid_and_confirmed`, `payment_failed`, `cancelled`, `manual_review`. reason: the failure "
        "code, or the reason of the review; else `none`. An order that is paid after a failure counts in both. "
        "One whose review ends counts no second time, unless it goes on from there and comes to an outcome later.",
        By.ENGINE,
    ),
    Metric(
        "payments_order_outcome_seconds",
        _HISTOGRAM,
        ("outcome", "waited"),
        "From the time-stamp of the OrderConfirmed on its topic to the first outcome. waited: `yes` if the customer or "
        "a bank had to act (a step by the customer, a debit): such a time is not ours. An order that goes on from a "
        "review counts once more with its outcome: nothing tells then that it was under review.",
        By.ENGINE,
        buckets=OUTCOME_BUCKETS,
    ),
    Metric(
        "payments_dead_letters_total",
        _COUNTER,
        ("event", "reason"),
        "Messages that became dead letters. event: the event whose topic they came from.",
        By.ENGINE,
    ),
    Metric(
        "payments_quarantined_total",
        _COUNTER,
        ("kind",),
        "What raised an error here and was put in quarantine: a `message`, an `operation` or an `order`.",
        By.ENGINE,
    ),
    Metric(
        "payments_database_transaction_seconds",
        _HISTOGRAM,
        (),
        "A transaction of a whole batch, from its first statement until it has committed.",
        By.ENGINE,
        buckets=WRITE_BUCKETS,
    ),
    Metric(
        "payments_gateway_calls_total",
        _COUNTER,
        ("operation", "asked", "outcome"),
        "Answers of the gateway. asked: `call`, or `look_up` of what became of one. outcome: `unknown` counts the "
        "answers after which nobody knows what happened.",
        By.ENGINE,
    ),
    Metric(
        "payments_gateway_call_seconds",
        _HISTOGRAM,
        ("operation", "asked"),
        "From the begin of a call at the gateway until its answer.",
        By.ENGINE,
        buckets=CALL_BUCKETS,
    ),
    Metric(
        "payments_inventory_calls_total",
        _COUNTER,
        ("operation", "asked", "outcome"),
        "As `payments_gateway_calls_total`, of an inventory elsewhere.",
        By.ENGINE,
    ),
    Metric(
        "payments_inventory_call_seconds",
        _HISTOGRAM,
        ("operation", "asked"),
        "As `payments_gateway_call_seconds`, of an inventory elsewhere.",
        By.ENGINE,
        buckets=CALL_BUCKETS,
    ),
    Metric(
        "payments_operations_open",
        _GAUGE,
        ("edge",),
        "Operations that this process has begun and has no answer to. edge: `gateway`, or `inventory` elsewhere.",
        By.ENGINE,
    ),
    Metric(
        "payments_operations_open_max",
        _GAUGE,
        ("edge",),
        "At so many open operations the consumers of this process pause (PAYMENTS_OPERATIONS_OPEN_MAX).",
        By.ENGINE,
    ),
    Metric(
        "payments_breaker_open",
        _GAUGE,
        ("edge",),
        "1 while the gateway, or the inventory elsewhere, is taken to be down for everybody, and a call of this "
        "process has shown that within the last two minutes.",
        By.ENGINE,
    ),
    Metric(
        "payments_ramp_calls_per_second",
        _GAUGE,
        ("edge",),
        "After an outage of the gateway, or of the inventory elsewhere: so many calls this process may begin in this "
        "second. It doubles each second. 0: there is no such limit.",
        By.ENGINE,
    ),
    Metric(
        "payments_batch_messages",
        _HISTOGRAM,
        ("reaction",),
        "Messages that a consumer took at a time. The sum counts messages.",
        By.CONSUME,
        buckets=SIZE_BUCKETS,
    ),
    Metric(
        "payments_new_orders_held_back_seconds_total",
        _COUNTER,
        (),
        "How long this process left new orders with Kafka, since orders under way were late: five seconds a batch at "
        "most. A rate near 1 means that this process, or what it calls, is slower than the orders come.",
        By.CONSUME,
    ),
    Metric(
        "payments_consumer_joined",
        _GAUGE,
        ("reaction",),
        "1 once this consumer has joined its group, with partitions or without.",
        By.CONSUME,
    ),
    Metric("payments_relay_active", _GAUGE, (), "1 while this relay sends; 0 while it stands by or waits.", By.RELAY),
    Metric(
        "payments_relay_batch_messages",
        _HISTOGRAM,
        (),
        "Messages that the relay read from the outbox at a time. The sum counts messages, repetitions included.",
        By.RELAY,
        buckets=SIZE_BUCKETS,
    ),
    Metric(
        "payments_publish_seconds",
        _HISTOGRAM,
        (),
        "From the first request of a batch to Kafka until all in-sync replicas have it.",
        By.RELAY,
        buckets=WRITE_BUCKETS,
    ),
    Metric(
        "payments_published_messages_total", _COUNTER, (), "Messages that all in-sync replicas have taken.", By.RELAY
    ),
    Metric(
        "payments_publish_refused_total",
        _COUNTER,
        ("reason",),
        "Messages that a broker refused; they are held and tried again. reason: that of the alarm.",
        By.RELAY,
    ),
    Metric(
        "payments_webhooks_total",
        _COUNTER,
        ("outcome",),
        "Requests at the endpoint for webhooks: `kept`, `not_ours` (of another type, or another shop's), `forged` (no "
        "signature of ours), `too_old` (its time-stamp is too far from our clock), `unreadable`, `too_large`, "
        "`too_slow`, `not_kept` (the database did not take it; the gateway sends it again), `not_here` (another path).",
        By.WEBHOOKS,
    ),
    Metric(
        "payments_reading_seconds",
        _GAUGE,
        ("source",),
        "How long the last look at the `database` or at `kafka` took.",
        By.SWEEP,
    ),
    Metric(
        "payments_readings_failed_total",
        _COUNTER,
        ("source",),
        "Looks at the `database` or at `kafka` that failed. Until one succeeds, their metrics are absent.",
        By.SWEEP,
    ),
)
