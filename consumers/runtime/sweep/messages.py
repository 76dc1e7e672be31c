"""Messages to customers: claimed under a lease, sent outside of any transaction, and settled as the answers come.

Nothing here holds up money: the job has its own bound on calls, and a receiver that is down is tried with one message
at a time. A slow receiver of one message holds up one call.
"""

import asyncio
import traceback
from collections import Counter
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

from consumers.runtime.performing import IDS_MAX
from consumers.runtime.sweep.job import Job, Tools
from domain.alarms import REMIND_S, Lasting, Log, ring
from domain.lease_margin import LEASE_MARGIN
from domain.messages import NO_ADDRESS, Delivery, Message, MessageState, Never, NotNow, Settled, is_over, settle
from domain.ports.messages import Messages, Messenger
from schemas.fields import NotificationKind

AT_ONCE_MAX: Final = 16
"""Messages under way in a process."""
SEND_MAX_S: Final = 30.0
"""For one message, the look-up of its address included."""
PAUSE_MIN_S: Final = 1.0
PAUSE_MAX_S: Final = 60.0
"""Between trials while nothing can be sent."""
FORGET_EVERY_S: Final = 600.0
FORGET_MAX: Final = 5_000
WHYS_MAX: Final = 5


class _Begun(NamedTuple):
    """A message under way. claimed_at: the loop's clock."""

    message: Message
    claimed_at: float


class Sending(Job):
    """Sends the messages that are due."""

    name = "sweep messages"

    def __init__(self, tools: Tools, messages: Messages, messenger: Messenger) -> None:
        super().__init__(tools)
        self._messages = messages
        self._messenger = messenger
        self._send_max_s = min(SEND_MAX_S, tools.rules.lease_s * (1 - LEASE_MARGIN))
        self._running: dict[asyncio.Task[Delivery], _Begun] = {}
        self._wake = asyncio.Event()
        self._outage = _Outage(self._log)
        self._given_up = _GivenUp(self._log)
        self._forget_s = 0.0

    def wake(self) -> None:
        """Look soon: there may be new messages, or a call has ended."""
        self._wake.set()

    def woken(self) -> Coroutine[Any, Any, object]:
        """Wait until there may be work."""
        return self._wake.wait()

    async def do(self, stop: asyncio.Event | None) -> int:
        """Settle what was sent, and begin to send what is due; return 0, for no operation was begun.

        If stop is None: until nothing is due or under way.
        """
        self._wake.clear()
        while True:
            await self._finish(stop)
            began = await self._start(stop)
            if stop is None and self._running:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            elif not began or (stop is not None and stop.is_set()):
                break
        now = _now()
        self._given_up.remind(now)
        if now >= self._forget_s:
            self._forget_s = now + FORGET_EVERY_S
            await self._look(lambda _: self._messages.forget_old(FORGET_MAX), stop)
        return 0

    async def end(self, stop: asyncio.Event) -> None:
        """Wait for what is under way, and settle it."""
        if self._running:
            await asyncio.wait(self._running)
        await self._finish(stop)

    def break_off(self) -> None:
        """Cancel what is still under way: its leases run out, and it may be sent once more."""
        for task in self._running:
            task.cancel()

    async def _start(self, stop: asyncio.Event | None) -> int:
        """Claim as many as there is room for; return how many were claimed."""
        room = self._outage.room(AT_ONCE_MAX - len(self._running), _now(), busy=bool(self._running))
        if room <= 0:
            return 0
        lease_s = self._tools.rules.lease_s
        claimed = await self._look(lambda most: self._messages.claim(min(most, room), lease_s), stop)
        claimed_at = _now()  # after the wait for an outage, if there was one
        over = [(message, settled) for message in claimed if (settled := is_over(message)) is not None]
        if over:
            await self._settle(over, stop)
        for message in claimed:
            if is_over(message) is None:
                task = asyncio.create_task(self._send(message))
                task.add_done_callback(lambda _: self.wake())
                self._running[task] = _Begun(message, claimed_at)
        return len(claimed)

    async def _send(self, message: Message) -> Delivery:
        if message.notification.kind == NotificationKind.UNSPECIFIED:
            return Never("a kind of message that this release does not know")
        try:
            async with asyncio.timeout(self._send_max_s):
                return await self._messenger.send(message)
        except TimeoutError:
            return NotNow("no answer in time")
        except Exception as error:  # noqa: BLE001 - one message must not stop the others
            # Not the error's own text: it may quote an address.
            trace = "".join(traceback.format_tb(error.__traceback__))
            key, kind = str(message.notification.key), type(error).__name__
            self._log.warning("sending a message raised an error", event_id=key, error_type=kind, trace=trace)
            return Never(f"it raised {kind} here")

    async def _finish(self, stop: asyncio.Event | None) -> None:
        """Settle what has ended."""
        ended = [(task, begun) for task, begun in self._running.items() if task.done()]
        if not ended:
            return
        now = _now()
        settled = []
        for task, (message, claimed_at) in ended:
            delivery = task.result()
            self._outage.note(delivery, now)
            settled.append((message, settle(message, delivery, message.at + timedelta(seconds=now - claimed_at))))
        await self._settle(settled, stop)
        for task, _ in ended:
            del self._running[task]

    async def _settle(self, done: Sequence[tuple[Message, Settled]], stop: asyncio.Event | None) -> None:
        settled = [s for _, s in done]
        await self._look(lambda _: self._messages.settle(settled), stop)
        sent = Counter(m.notification.kind for m, s in done if s.state is MessageState.SENT)
        if sent:
            self._log.info("customers told", **sent)
        stale = sum(s.state is MessageState.STALE for s in settled)
        if stale:
            self._log.warning("messages to customers were too old to be sent", messages=stale)
        self._given_up.note([s for s in settled if s.state is MessageState.GIVEN_UP], _now())


class _Outage:
    """While nothing can be sent, one message is tried after each pause, and the pauses grow."""

    def __init__(self, log: Log) -> None:
        self._down = Lasting(log, "notifier_down")
        self._pause_s = 0.0
        self._until = 0.0

    def room(self, limit: int, now: float, *, busy: bool) -> int:
        """Return how many messages may be begun now."""
        if not self._pause_s:
            return limit
        return 0 if busy or now < self._until else min(limit, 1)

    def note(self, delivery: Delivery, now: float) -> None:
        """Note an answer, or that there was none for anybody."""
        if isinstance(delivery, NotNow) and delivery.down:
            if now >= self._until:
                self._pause_s = min(max(2 * self._pause_s, PAUSE_MIN_S), PAUSE_MAX_S)
                self._until = now + self._pause_s
            self._down.again(now, "messages to customers cannot be sent; they wait", why=delivery.why)
        else:
            self._pause_s = self._until = 0.0
            self._down.end(now, "messages to customers are sent again")


class _GivenUp:
    """Rings for messages that were given up: at once, but for missing addresses, which are counted for ten minutes."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._unknown: list[str] = []
        self._count = 0
        self._next_s = 0.0

    def note(self, settled: Sequence[Settled], now: float) -> None:
        """Take these up."""
        unknown = [str(s.key) for s in settled if s.error == NO_ADDRESS]
        others = [s for s in settled if s.error != NO_ADDRESS]
        if others:
            whys = sorted({s.error or "" for s in others})[:WHYS_MAX]
            self._ring(len(others), [str(s.key) for s in others], whys)
        self._count += len(unknown)
        self._unknown = (self._unknown + unknown)[:IDS_MAX]
        self.remind(now)

    def remind(self, now: float) -> None:
        """Ring for missing addresses, if it is time."""
        if self._count and now >= self._next_s:
            self._ring(self._count, self._unknown, [NO_ADDRESS])
            self._count, self._unknown, self._next_s = 0, [], now + REMIND_S

    def _ring(self, count: int, keys: Sequence[str], whys: Sequence[str]) -> None:
        text = "messages to customers are given up"
        ring(self._log, "message_given_up", text, messages=count, event_ids=list(keys[:IDS_MAX]), why="; ".join(whys))


def _now() -> float:
    return asyncio.get_running_loop().time()
