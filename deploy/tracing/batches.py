"""The spans of what is done for many messages at once: transactions, and turns of the relay. Each is its own trace."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from deploy.tracing import conventions as c
from deploy.tracing.telling import Ids, Kind, Recorder, Told, links_to
from domain.ports.metering import StoreMeter, Written
from domain.ports.publisher import Interrupted, OutgoingMessage, Published, Publisher, always
from domain.tracing import TRACEPARENT, Incoming, Trace, passed_on

SEND: Final = "send"
TURN: Final = "relay turn"
TRANSACTION: Final = "transaction"
NANOSECONDS: Final = 1_000_000_000


class TransactionTracer:
    """domain.ports.metering.StoreMeter. also: who else hears of transactions."""

    def __init__(self, recorder: Recorder, ids: Ids, clock_ns: Callable[[], int], also: StoreMeter | None) -> None:
        self._recorder = recorder
        self._ids = ids
        self._clock_ns = clock_ns
        self._also = also

    def committed(self, written: Written) -> None:
        """Tell a transaction, if it decided on an order that is recorded."""
        if self._also is not None:
            self._also.committed(written)
        links = links_to(_traces_of(written))
        if links:
            ended_ns = self._clock_ns()
            events = sum(len(changes.events) for changes in written.changes)
            self._recorder.record(
                Told(
                    TRANSACTION,
                    Kind.CLIENT,
                    self._ids.root(),
                    None,
                    ended_ns - round(written.seconds * NANOSECONDS),
                    ended_ns,
                    {c.DB_SYSTEM_NAME: c.POSTGRESQL, c.EVENTS: events},
                    links,
                )
            )


def _traces_of(written: Written) -> Iterator[Trace | None]:
    """Return the contexts of events, and of operations that were opened."""
    for changes in written.changes:
        yield from changes.traces.values()
        for change in changes.orders:
            for operation in change.after.operations:
                yield operation.trace


class TracedPublisher:
    """A publisher whose turns are told."""

    def __init__(self, publisher: Publisher, recorder: Recorder, ids: Ids, clock_ns: Callable[[], int]) -> None:
        self._publisher = publisher
        self._recorder = recorder
        self._ids = ids
        self._clock_ns = clock_ns

    async def publish(self, messages: Sequence[OutgoingMessage], *, allowed: Callable[[], bool] = always) -> Published:
        """Send all messages and wait for the acknowledgements."""
        began_ns = self._clock_ns()
        published, error = Published(()), None
        try:
            published = await self._publisher.publish(messages, allowed=allowed)
        except Interrupted as trouble:
            published, error = trouble.published, type(trouble).__name__
            raise
        except Exception as trouble:
            error = type(trouble).__name__
            raise
        finally:
            self._tell(messages, published, error, began_ns)
        return published

    async def close(self) -> None:
        """Close the connections."""
        await self._publisher.close()

    def _tell(
        self, messages: Sequence[OutgoingMessage], published: Published, error: str | None, began_ns: int
    ) -> None:
        """Tell a turn and its sends, one a topic, if it had a message of a recorded trace."""
        traces = {message.id: trace for message in messages if (trace := _trace_of(message)) is not None}
        links = links_to(traces.values())
        if not links:
            return
        ended_ns = self._clock_ns()
        turn = self._ids.root()
        by_topic = groupby(sorted(messages, key=attrgetter("topic")), key=attrgetter("topic"))
        for topic, of_topic in by_topic:
            self._tell_send(topic, list(of_topic), traces, published, (turn, error, began_ns, ended_ns))
        counted: dict[str, str | int] = {c.MESSAGING_SYSTEM: c.KAFKA, c.MESSAGING_BATCH_MESSAGE_COUNT: len(messages)}
        self._recorder.record(Told(TURN, Kind.INTERNAL, turn, None, began_ns, ended_ns, counted, links, error))

    def _tell_send(
        self,
        topic: str,
        messages: Sequence[OutgoingMessage],
        traces: dict[int, Trace],
        published: Published,
        of_turn: tuple[Incoming, str | None, int, int],
    ) -> None:
        turn, error, began_ns, ended_ns = of_turn
        links = links_to(traces.get(message.id) for message in messages)
        if not links:
            return
        refused: Iterable[str] = (published.refused[m.id].alarm for m in messages if m.id in published.refused)
        attributes: dict[str, str | int] = {
            c.MESSAGING_SYSTEM: c.KAFKA,
            c.MESSAGING_OPERATION_NAME: SEND,
            c.MESSAGING_OPERATION_TYPE: SEND,
            c.MESSAGING_DESTINATION_NAME: topic,
            c.MESSAGING_BATCH_MESSAGE_COUNT: len(messages),
        }
        self._recorder.record(
            Told(
                f"{SEND} {topic}",
                Kind.CLIENT,
                self._ids.child_of(turn),
                turn,
                began_ns,
                ended_ns,
                attributes,
                links,
                error or next(iter(refused), None),
            )
        )


def _trace_of(message: OutgoingMessage) -> Trace | None:
    """Return the context that a message is sent with."""
    for name, _ in reversed(message.headers):  # ours have it last
        if name == TRACEPARENT:
            return passed_on(message.headers)
    return None
