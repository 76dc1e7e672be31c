"""A producer that does not give up: idempotent, acks from all; what was not acknowledged is sent again, byte for byte.

confluent-kafka does what checkout's own client would. A message that is sent again after its time was over may lie on
its topic twice, under the same event id, which the contract allows.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from tests.chaos.clock import unix_s
from tests.chaos.messages import Message
from tests.chaos.published import Published, Sent

POLL_S: Final = 0.02
AGAIN_S: Final = 0.3
"""Before what the client refused at once is tried again: a partition that it does not know yet."""
FLUSH_S: Final = 5.0
ANY_PARTITION: Final = -1
Then = Callable[[Sent], None]


def settings(bootstrap: str, **more: Any) -> dict[str, Any]:
    """Return what every producer here is given. murmur2: the partition that Kafka's own clients choose."""
    return {
        "bootstrap.servers": bootstrap,
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "linger.ms": 5,
        "message.max.bytes": 1_100_000,
        "delivery.timeout.ms": 30_000,
        "topic.metadata.refresh.interval.ms": 2_000,
        "reconnect.backoff.max.ms": 500,
        "log_level": 0,
        **more,
    }


class Outlet:
    """Sends in a thread of its own, in the order of send() per partition as far as nothing fails."""

    def __init__(
        self, bootstrap: str, prefix: str, published: Published, *, fault: int | None = None, **more: Any
    ) -> None:
        self._settings = settings(bootstrap, **more)
        self._prefix = prefix
        self._published = published
        self._fault = fault
        self._waiting: deque[tuple[Message, Then | None]] = deque()
        self._unacknowledged = 0
        self._broken = False
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._producer = Producer(self._settings)
        self._thread = threading.Thread(target=self._run, name="outlet", daemon=True)
        self._thread.start()

    def send(self, message: Message, then: Then | None = None) -> None:
        """Send, sooner or later. then: called, in the outlet's thread, once the broker has it."""
        with self._changed:
            self._unacknowledged += 1
        self._waiting.append((message, then))

    def wait(self, timeout_s: float) -> bool:
        """Wait until everything is acknowledged; tell whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._unacknowledged == 0, timeout_s)

    @property
    def unacknowledged(self) -> int:
        """How many messages the broker has not acknowledged."""
        return self._unacknowledged

    def close(self) -> None:
        """Stop sending. May be repeated."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        refused_at = 0.0
        while not self._closed.is_set():
            while self._waiting and unix_s() - refused_at > AGAIN_S:
                if not self._produce(*self._waiting.popleft()):
                    refused_at = unix_s()
            self._producer.poll(POLL_S)
            if self._broken:
                self._start_anew()
        self._producer.purge()
        self._producer.flush(FLUSH_S)

    def _produce(self, message: Message, then: Then | None) -> bool:
        def acknowledged(error: Any, sent: Any) -> None:
            if error is None:
                self._acknowledge(message, then, sent)
                return
            self._broken |= bool(error.fatal())
            self._waiting.append((message, then))

        partition = ANY_PARTITION if message.partition is None else message.partition
        try:
            self._producer.produce(
                self._prefix + message.event_type,
                message.value,
                message.key,
                partition,
                on_delivery=acknowledged,
                headers=list(message.headers),
            )
        except (BufferError, KafkaException):
            self._waiting.appendleft((message, then))
            return False
        return True

    def _acknowledge(self, message: Message, then: Then | None, sent: Any) -> None:
        noted = Sent(message, sent.topic(), sent.partition(), sent.offset(), unix_s(), self._fault)
        self._published.add(noted)
        if then is not None:
            then(noted)
        with self._changed:
            self._unacknowledged -= 1
            self._changed.notify_all()

    def _start_anew(self) -> None:
        """Take another producer: an idempotent one that lost its way never finds it again."""
        self._producer.purge()
        self._producer.flush(FLUSH_S)
        self._producer = Producer(self._settings)
        self._broken = False
