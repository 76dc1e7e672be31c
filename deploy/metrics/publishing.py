"""Counts and times what the relay publishes."""

from collections.abc import Callable, Sequence
from time import perf_counter

from deploy.metrics.metric import known
from deploy.metrics.numbers import Numbers
from domain.alarms import ALARMS
from domain.ports.publisher import Interrupted, OutgoingMessage, Published, Publisher, always


class Publishing:
    """The counts of one process's relay. A publisher lives as long as the relay is active with it."""

    def __init__(self, numbers: Numbers) -> None:
        self.active = 0
        self.sizes = numbers.histogram("payments_relay_batch_messages")[()]
        self.times = numbers.histogram("payments_publish_seconds")[()]
        self._published = numbers.counter("payments_published_messages_total")
        self._refused = numbers.counter("payments_publish_refused_total")
        numbers.gauge("payments_relay_active", lambda: {(): self.active})

    def note(self, published: Published) -> None:
        """Count what became of a batch."""
        self._published.add((), len(published.acknowledged))
        for refusal in published.refused.values():
            self._refused.add((known(refusal.alarm, ALARMS),))


class MeteredPublisher:
    """A publisher whose batches are counted."""

    def __init__(self, publisher: Publisher, publishing: Publishing) -> None:
        self._publisher = publisher
        self._publishing = publishing
        publishing.active += 1

    async def publish(self, messages: Sequence[OutgoingMessage], *, allowed: Callable[[], bool] = always) -> Published:
        """Send all messages and wait for the acknowledgements."""
        began = perf_counter()
        self._publishing.sizes.observe(len(messages))
        try:
            published = await self._publisher.publish(messages, allowed=allowed)
        except Interrupted as trouble:
            self._publishing.note(trouble.published)
            raise
        self._publishing.times.observe(perf_counter() - began)
        self._publishing.note(published)
        return published

    async def close(self) -> None:
        """Close the connections."""
        self._publishing.active -= 1
        await self._publisher.close()
