"""The part of every page about messages as such: key, headers, framing, order, repetitions, how long they are kept."""

from deploy.contract_pages.event_part import kept
from deploy.contract_pages.facts import PARTITIONER, Contract, EventFacts
from deploy.contract_pages.html import Html, bullets, section, table, tag, text_with_code
from deploy.contract_pages.numbers import duration
from deploy.contract_pages.reader import Reader

CLIENTS = (
    ("Java kafka-clients", "nothing to set: murmur2, acks=all and idempotence are its defaults"),
    ("aiokafka", "`acks='all'`, `enable_idempotence=True`; its partitioner is right"),
    (
        "confluent-kafka, librdkafka",
        "`partitioner=murmur2_random`, `enable.idempotence=true` (its default is another hash)",
    ),
    ("kafkajs", "`idempotent: true`; its default partitioner is right from version 2 on"),
    ("franz-go", "nothing to set: murmur2, acks from all, idempotence"),
    (
        "sarama",
        "another hash by default: a partitioner of murmur2, `RequiredAcks = WaitForAll`, `Producer.Idempotent = true`",
    ),
    (
        "kafka-go",
        (
            "`Balancer: kafka.Murmur2Balancer{}`, `RequiredAcks: kafka.RequireAll`: its Writer ignores keys and waits "
            "for nobody"
        ),
    ),
)
"""What to set in which client, as measured with the versions of November 2026."""


def message_part(contract: Contract, reader: Reader) -> Html:
    """Return what holds for every message that this reader writes or reads."""
    example = contract.events[(reader.publishes or reader.reads)[0]]
    return section(
        "messages",
        "Messages",
        *_key(contract, example, reader),
        *_headers(example),
        *_framing(contract),
        *_order(),
        *_repetitions(contract, reader),
        *_kept(contract, reader),
    )


def _key(contract: Contract, example: EventFacts, reader: Reader) -> list[Html | None]:
    partitions, key = contract.topics.partitions, example.example.key
    return [
        tag("h3", "Key and partition"),
        tag(
            "p",
            text_with_code(
                f"The key is `{example.key}` as UTF-8 text (of StockAdjusted the SKU, of all other events the "
                f"order's id). The partition is {PARTITIONER} of the key, as Java's client computes it: `{key}` is "
                f"in partition {example.example.partition} of {partitions}. Compare that with your client: another "
                "hash puts an order on two partitions, and its order is lost."
            ),
        ),
        tag("p", text_with_code("Publish with `acks=all` and idempotence: then nothing that was acknowledged is lost."))
        if reader.publishes
        else None,
        table(("Client", "What to set"), *((name, text_with_code(what)) for name, what in CLIENTS))
        if reader.publishes
        else None,
    ]


def _headers(example: EventFacts) -> list[Html]:
    rows = ((tag("code", name), tag("code", value)) for name, value in example.example.headers.items())
    return [
        tag("h3", "Headers"),
        tag(
            "p",
            "CloudEvents 1.0 in Kafka's binary mode, all values UTF-8. They repeat what the body says, so that one can "
            "sort messages without decoding them; the body counts. A W3C ",
            tag("code", "traceparent"),
            " may stand beside them, and a tracestate: the context of the step that decided on the event.",
        ),
        table(("Header", f"In the example of {example.event_type}"), *rows),
    ]


def _framing(contract: Contract) -> list[Html]:
    ours = "behind a registry's schema id" if contract.registry else "as Avro single objects"
    return [
        tag("h3", "Body"),
        tag(
            "p",
            f"Avro binary. This deployment writes its own events {ours}; it reads both forms from you.",
        ),
        bullets(
            text_with_code(
                "Single object: `c301`, the schema's CRC-64-AVRO fingerprint (8 bytes, little-endian: written out as "
                "it stands on these pages), the body."
            ),
            text_with_code(
                "A registry's framing: `00`, the schema id (4 bytes, big-endian), the body. The subject is the topic's "
                "name and `-value`."
            ),
            "Some libraries compute another fingerprint, for they keep logical types in the canonical form. What Go's "
            "hamba/avro and goavro, Rust's apache-avro and Python's avro compute of these schemas is taken from you; "
            "of any other it is a dead letter. To read our events with one of them, skip the ten bytes and decode with "
            "the schema of this page.",
            "Schemas only grow: a reader with the schema of any release reads the events of every other. A new "
            "symbol of an enum reads as the enum's default, which means: do not act.",
        ),
    ]


def _order() -> list[Html]:
    return [
        tag("h3", "Order"),
        bullets(
            "All messages of an order on one topic are on one partition, in the order in which they happened. (If "
            "partitions are added to a topic, an order's earlier messages stay where they are.)",
            text_with_code(
                "Topics have no order among each other. `order_version` and `ordinal` sort all events of ours of an "
                "order across topics. An event with a lower pair than one that you have acted on is late, not new."
            ),
        ),
    ]


def _repetitions(contract: Contract, reader: Reader) -> list[Html]:
    within = duration(contract.resend_s * contract.resends_max)
    items = [
        text_with_code(
            "Any event may come again, with the same `event_id` and the same bytes: seconds later, when a process "
            f"of ours was replaced; up to {within} later, when an order stood still ({contract.resends_max} times, "
            f"every {duration(contract.resend_s)}); at any time later, when Kafka lost data or our database was "
            "restored."
        ),
        text_with_code(
            "So there is no time after which an `event_id` may be forgotten. Keep it as long as its effect: as a "
            "unique column beside what you wrote, in the same transaction."
        ),
        "Your group's offsets are no protection: after a rebalance or a reset you read again what you have read.",
    ]
    if reader.publishes:
        days = contract.numbers["inbox_retention_days"].text
        items.append(
            text_with_code(
                f"What you send twice with the same `event_id` counts once. We recognize it for {days} after its "
                "`occurred_at`; what is older and new to us is refused as `too_old`."
            )
        )
    return [tag("h3", "Repetitions"), bullets(*items)]


def _kept(contract: Contract, reader: Reader) -> list[Html]:
    shown = [contract.events[event_type] for event_type in dict.fromkeys((*reader.publishes, *reader.reads))]
    ways = {kept(event): [e.topic for e in shown if kept(e) == kept(event)] for event in shown}
    return [
        tag("h3", "How long messages are kept"),
        bullets(*(f"{how.capitalize()}: {', '.join(topics)}." for how, topics in ways.items())),
        tag(
            "p",
            text_with_code(
                "`payments topics create` makes every topic without a limit of time or size. Topics that others own "
                "may have one, of seven days at the least."
            ),
        ),
    ]
