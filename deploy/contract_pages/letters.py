"""The headers of a dead letter's copy, read off one that is made as the pipeline makes it."""

from dataclasses import dataclass
from typing import Final

from consumers.runtime.letters import Letters
from deploy.contract_pages.examples import AT, PAID, examples
from domain.dead_letter import DeadLetter
from domain.ports.source import Message
from outbox.journal.rows import dead_letter_row
from schemas.codec import Codec
from schemas.rejection import Reason, Rejected

_HEADERS_AT: Final = slice(8, 10)
"""Where a row of the journal has the names of headers, and their values."""
_MEANINGS: Final = {
    "kafka_dlt-original-topic": "the topic of the message",
    "kafka_dlt-original-partition": "its partition, 4 bytes, big-endian",
    "kafka_dlt-original-offset": "its offset, 8 bytes, big-endian",
    "kafka_dlt-original-timestamp": "its time at Kafka, milliseconds since 1970, 8 bytes, big-endian",
    "kafka_dlt-original-timestamp-type": "of that time",
    "kafka_dlt-original-consumer-group": "the group that refused it",
    "kafka_dlt-exception-fqcn": "the same for every dead letter",
    "kafka_dlt-exception-message": "what is wrong, and what to do",
    "payments_reason": "why, one of the reasons of this page",
    "payments_origin": "a hash that tells two messages of the same offset apart",
}


@dataclass(frozen=True, slots=True)
class LetterHeader:
    """One header. example: as text, or in hex if it is a number in bytes."""

    name: str
    meaning: str
    example: str


def letter_headers() -> list[LetterHeader]:
    """Return the headers that a copy has beside the original's, in their order."""
    names, values = dead_letter_row(1, example_letter(), AT)[_HEADERS_AT]
    return [
        LetterHeader(name, _MEANINGS[name], _text(_MEANINGS[name], value))
        for name, value in zip(names, values, strict=True)
    ]


def example_letter() -> DeadLetter:
    """Return the dead letter of the example order with a wrong total, as the consumer of orders makes it."""
    order = examples()["OrderConfirmed"].model_copy(update={"total_minor": 2_441})
    codec = Codec()
    key, body = PAID.encode(), codec.encode(order)
    message = Message("OrderConfirmed", 3, 41, key, body, (), int(AT.timestamp() * 1_000))
    letters = Letters("payments.authorize_payment", "OrderConfirmed", codec)
    try:
        codec.decode("OrderConfirmed", key, body)
    except Rejected as rejected:
        return letters.of_message(message, rejected.reason, rejected.detail)
    return letters.of_message(message, Reason.TOTAL_MISMATCH, "")


def _text(meaning: str, value: bytes) -> str:
    return value.hex(" ") if "big-endian" in meaning else value.decode()
