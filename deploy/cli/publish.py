"""`payments publish`: events from JSON lines, as checkout would publish them."""

from collections.abc import Sequence
from typing import BinaryIO

import click

from deploy.cli.common import answer, json_option, say, settings_for_command
from deploy.contracts import codec_of
from deploy.failures import NOT_REACHED, Failure
from deploy.running import id_source, now, run
from deploy.settings import Settings
from domain.ports.publisher import OutgoingMessage
from producers.checkout import Checkout
from producers.kafka_publisher import KafkaPublisher
from producers.topics import missing_topics
from schemas.texts import counted

BATCH = 5000
LINES_SHOWN_MAX = 20


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--unchecked", is_flag=True, help="Send wrong events as they are, for tests; `key` and `raw_hex` count.")
@json_option
def publish(*, file: BinaryIO, unchecked: bool, as_json: bool) -> None:
    """Publish events from FILE (or -), JSON lines: one event each.

    A line is an object with `type` and the event's own fields; times are ISO 8601. event_id, occurred_at,
    correlation_id and causation_id are filled in if absent. Every line is checked before the first is sent: if one is
    wrong, its number and what is wrong go to stderr, nothing is published, and the exit code is 1. Ends when all
    in-sync replicas have every event.

    With --unchecked a line may also hold `key` (the message key, null for none), and in place of fields `raw_hex`
    (the body).

    \b
    {"type": "OrderConfirmed", "order_id": "order-1", "customer_id": "c-1", "currency": "EUR",
     "lines": [{"sku": "tea", "quantity": 2, "unit_price_minor": 500}], "discount_minor": 0,
     "delivery_fee_minor": 250, "service_fee_minor": 0, "total_minor": 1250,
     "payment_method": {"kind": "CARD", "token": "pm_card_visa"}}
    """  # noqa: D301 - click needs the character, not a backslash and a letter
    settings = settings_for_command()
    settings.kafka_options()
    checkout = Checkout(codec_of(settings), settings.topic_prefix, now(), id_source(), checked=not unchecked)
    prepared = checkout.prepare(file)
    if prepared.bad:
        for bad in prepared.bad[:LINES_SHOWN_MAX]:
            say(f"line {bad.number}: {bad.problem}; nothing was published")
        if len(prepared.bad) > LINES_SHOWN_MAX:
            say(f"and {counted(len(prepared.bad) - LINES_SHOWN_MAX, 'more line is', 'more lines are')} wrong")
        raise click.exceptions.Exit(1)
    run(_send(settings, prepared.messages))
    kinds = ", ".join(f"{count} {event_type}" for event_type, count in prepared.counts.items())
    said = f"{counted(len(prepared.messages), 'event')} published" + (f": {kinds}" if kinds else "")
    answer({"published": len(prepared.messages), "types": prepared.counts}, [said], as_json=as_json)


async def _send(settings: Settings, messages: Sequence[OutgoingMessage]) -> None:
    """Publish all and wait for acknowledgements. Raises Failure with the line that Kafka refuses."""
    if not messages:
        return
    kafka = settings.kafka_options()
    if missing := await missing_topics(kafka, {message.topic for message in messages}):
        raise Failure(f"there is no topic {', '.join(missing)}: run `payments topics create`", NOT_REACHED)
    async with KafkaPublisher(kafka) as publisher:
        for start in range(0, len(messages), BATCH):
            answer = await publisher.publish(messages[start : start + BATCH])
            if answer.refused:
                number, refusal = next(iter(answer.refused.items()))
                sent = start + len(answer.acknowledged)
                raise Failure(f"line {number}: {refusal.why} (published before it: {sent} of {len(messages)})")
