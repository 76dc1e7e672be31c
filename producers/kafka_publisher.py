"""The publisher behind the outbox: batches by partition, acknowledged by all in-sync replicas, order kept per key."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer

from domain.errors import KafkaDown, Transient
from domain.ports.publisher import Interrupted, OutgoingMessage, Published, always
from producers.connection import NO_ANSWER, discard_producer, has_died, start_producer, stop_producer
from producers.lanes import Results, Stamp
from producers.partitioning import sort_into_lanes
from producers.waves import await_wave, send_wave

DEADLINE_S: Final = 30.0


class KafkaPublisher:
    """An idempotent producer of batches (domain.ports.publisher.Publisher), for one relay.

    kafka: connection options of aiokafka (Settings.kafka_options()). deadline_s: how long a batch may have no answer,
    retries included. stamp: gives the time of a batch.

    We fill one batch per partition ourselves, for throughput: aiokafka's send() costs a future and several look-ups a
    message. A batch gets its sequence numbers when it leaves (MessageAccumulator._pop_batch), whoever filled it, and a
    partition has one batch in flight. So order and idempotence hold.
    """

    def __init__(self, kafka: Mapping[str, Any], *, deadline_s: float = DEADLINE_S, stamp: Stamp = None) -> None:
        self._kafka = kafka
        self._deadline_s = deadline_s
        self._stamp = stamp
        self._producer: AIOKafkaProducer | None = None
        self._stale = False
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Connect. Raises DownForEverybody when no broker answers, Transient for anything else."""
        if self._producer is None:
            self._producer = await start_producer(self._kafka)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def publish(self, messages: Sequence[OutgoingMessage], *, allowed: Callable[[], bool] = always) -> Published:
        """Send all, per key in the given order, and wait for the acknowledgements of all in-sync replicas.

        A message behind a refused one of its key is not sent and comes back refused too, so that it cannot overtake.
        For the rest see the port.
        """
        async with self._turn:
            if self._producer is None:
                raise KafkaDown("this publisher is not started or has failed: make a new one")
            results = Results()
            try:
                await self._publish(messages, results, allowed)
            except (*NO_ANSWER, Transient) as error:
                await self._discard()
                named = isinstance(error, Transient)
                why = str(error) if named else f"Kafka did not take the messages ({type(error).__name__}): try again"
                if results.acknowledged or results.refused:
                    raise Interrupted(why, results.published()) from error
                raise KafkaDown(why) from error
            except BaseException:
                await self._discard()
                raise
            return results.published()

    async def close(self) -> None:
        """Close the connections. Calling it again does nothing."""
        if self._stale:
            await self._discard()
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_producer(producer)

    async def _discard(self) -> None:
        self._stale = False
        producer, self._producer = self._producer, None
        if producer is not None:
            await discard_producer(producer)

    async def _fresh_producer(self) -> AIOKafkaProducer:
        """Return the producer. Replace it first if it has died, and after a refused or unanswered batch.

        After such a batch its sequence has a gap.
        """
        assert self._producer is not None
        if self._stale or has_died(self._producer):
            await self._discard()
            await self.start()
        return self._producer

    async def _publish(
        self, messages: Sequence[OutgoingMessage], results: Results, allowed: Callable[[], bool]
    ) -> None:
        client = (await self._fresh_producer()).client
        lanes = results.close_lanes(await sort_into_lanes(client, messages, results, self._deadline_s))
        while lanes:
            # This ends: every wave sends or refuses a message, or makes the next batch of a lane smaller.
            producer = await self._fresh_producer()
            if not allowed():
                results.refuse_rest(lanes, "this process may send nothing more at the moment")
                return
            sent = await send_wave(producer, lanes, results, self._stamp)
            self._stale = await await_wave(sent, results, allowed, self._deadline_s)
            lanes = results.close_lanes(lanes)
