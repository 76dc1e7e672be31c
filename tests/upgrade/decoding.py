"""Reads every message of ours on the topics with the codec of whatever release runs this: `decoding.py PREFIX`.

A program: it is run with the packages of another release. Prints JSON: messages by event, and by the note that the
made-up next release writes.
"""

import asyncio
import json
import sys
from collections import Counter
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.contracts import codec_of
from deploy.settings import load_settings
from schemas.topics import TOPICS


async def _main() -> None:
    settings = load_settings()
    codec = codec_of(settings)
    types = {settings.topic_prefix + name: name for name, topic in TOPICS.items() if topic.ours}
    consumer = AIOKafkaConsumer(*types, auto_offset_reset="earliest", **settings.kafka_options())
    await consumer.start()
    events: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    try:
        partitions = [TopicPartition(name, n) for name in types for n in consumer.partitions_for_topic(name) or ()]
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(p) < end for p, end in ends.items()]):
            for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    event: Any = codec.decode(types[partition.topic], record.key, record.value)
                    events[types[partition.topic]] += 1
                    if types[partition.topic] == "PaymentAuthorized":
                        notes[getattr(event, "next_note", "not known")] += 1
    finally:
        await consumer.stop()
    json.dump({"events": events, "notes": notes}, sys.stdout)


asyncio.run(_main())
