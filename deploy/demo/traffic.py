"""Checkout, storefront and customers: orders are published a few at a time.

A customer whose bank asks them confirms the payment, or does not; one whose payment failed tries again.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import orjson

from deploy.demo.noted import Asking, Noted
from deploy.demo.script import Script, ScriptedOrder
from deploy.demo.stories import ASKED_EVENT, OUTCOME_EVENTS, Cancel, Customer
from deploy.demo.watch import Observed, Seen
from deploy.gateways import SANDBOX_KEY
from deploy.running import id_source, now
from deploy.settings import Settings
from domain.errors import Transient
from producers.checkout import Checkout
from producers.kafka_publisher import KafkaPublisher
from schemas.codec import Codec

UNDER_WAY_MAX: Final = 160
"""So many orders wait for their outcome at a time: a stream of customers, not a flood. Slow ones do not count."""
PUBLISH_MAX: Final = 40
LOOK_S: Final = 0.05
LATE_S: Final = 60.0
"""After so long without an event, what is missing will not come."""
QUIET_S: Final = 15.0
"""The same once every order has an outcome: time for what follows an outcome (a refund that takes a while)."""
TRIES_MAX: Final = 20
IDS_APART: Final = 2**64
PAGE_S: Final = 10.0
ANSWERS: Final = {Customer.CONFIRMS: "passed", Customer.FAILS: "failed"}
"""What the sandbox's page is told for a customer."""
AWAY_S: Final = 1.0
"""Between tries while Kafka is down: somebody may have killed it, to see what happens."""


@dataclass(slots=True)
class Progress:
    """How far it is. waits_s: from the acknowledgement of each request for a payment to its outcome on the topic."""

    published: int = 0
    ended: int = 0
    began_s: float = 0.0
    ended_s: float = 0.0
    waits_s: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """From the first order published to the last outcome seen."""
        return max(0.0, self.ended_s - self.began_s)


class Traffic:
    """Publishes the script. note() must be called with every event that is seen on the topics."""

    def __init__(self, script: Script, settings: Settings, codec: Codec, *, quiet_s: float = QUIET_S) -> None:
        self.progress = Progress()
        self._script = script
        self._settings = settings
        self._codec = codec
        self._quiet_s = quiet_s
        self._orders = {order.order_id: order for order in script.orders}
        # Another seed than the script's: the same one would give some ids twice, and a message with the id of another
        # one is, rightly, taken for a repetition.
        self._new_id = id_source(script.seed + IDS_APART)
        self._waiting = deque(script.orders)
        self._retries: list[Asking] = []
        self._noted = Noted(settings)
        self._asked_s: dict[tuple[str, int], float] = {}
        self._asked: deque[tuple[Seen, str]] = deque()
        self._under_way: set[str] = set()
        self._ended: set[str] = set()
        self._last_s = 0.0

    def note(self, seen: Seen) -> None:
        """Take note of an event; a customer may act on it."""
        self._last_s = seen.at_s
        order = self._orders.get(seen.order_id)
        if seen.event_type == ASKED_EVENT and order is not None and order.story.customer in ANSWERS:
            self._asked.append((seen, ANSWERS[order.story.customer]))
        if seen.event_type not in OUTCOME_EVENTS or order is None:
            return
        asked_s = self._asked_s.get((seen.order_id, seen.attempt))
        if asked_s is not None:
            self.progress.waits_s.append(max(0.0, seen.at_s - asked_s))
        if seen.event_type == "PaidAndConfirmed" and self._act_when_paid(order):
            return
        again = order.retry(seen.attempt) if seen.event_type == "PaymentFailed" else []
        if again:
            self._retries += [Asking(seen.order_id, seen.attempt + 1, line) for line in again]
            return
        self._ended.add(seen.order_id)
        self._under_way.discard(seen.order_id)
        self.progress.ended = len(self._ended)
        self.progress.ended_s = max(self.progress.ended_s, seen.at_s)

    def _act_when_paid(self, order: ScriptedOrder) -> bool:
        """Have a paid order cancelled, prepared or refunded. Return whether it has another outcome to come."""
        if order.story.cancel is Cancel.WHEN_PAID:
            self._retries.append(Asking(order.order_id, 1, order.cancel()))
        self._retries += [Asking(order.order_id, 1, line) for line in order.refunds()]
        if order.story.cancel is Cancel.IN_PREPARATION:
            self._retries.append(Asking(order.order_id, 1, order.preparation()))
            self._noted.preparing[order.order_id] = Asking(order.order_id, 1, order.cancel())
        return order.story.cancelled

    async def run(self, observed: Observed) -> None:
        """Publish all. Return when every event of the script was seen, or when no more events come."""
        loop = asyncio.get_running_loop()
        self.progress.began_s = self._last_s = loop.time()
        publisher = await _publisher(self._settings)
        try:
            await self._publish_strays(publisher)
            while not self._over(observed, loop.time()):
                await self._act_for_customers()
                self._retries += await self._noted.take()
                batch = self._next()
                if batch:
                    publisher = await self._publish(publisher, batch)
                else:
                    await asyncio.sleep(LOOK_S)
        finally:
            await publisher.close()

    async def _act_for_customers(self) -> None:
        """Answer the banks' pages. A page that does not answer, because somebody killed it, is tried again."""
        if not self._asked:
            return
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PAGE_S)) as session:
            for seen, answer in [self._asked.popleft() for _ in range(len(self._asked))]:
                try:
                    url = seen.url or await self._find_page(session, seen)
                    async with session.post(url, data={"outcome": answer}, allow_redirects=False) as page:
                        page.raise_for_status()
                except (aiohttp.ClientError, TimeoutError):
                    self._asked.append((seen, answer))

    async def _find_page(self, session: aiohttp.ClientSession, seen: Seen) -> str:
        """Fetch the page's address from the gateway, as a storefront's backend does: it carries the client's secret."""
        payment = f"{self._settings.stripe_api_base}/v1/payment_intents/{seen.transaction_id}"
        async with session.get(payment, headers={"Authorization": f"Bearer {SANDBOX_KEY}"}) as answer:
            answer.raise_for_status()
            return str((await answer.json())["next_action"]["redirect_to_url"]["url"])

    def _next(self) -> list[Asking]:
        """Take all retries, and as many new orders as may be under way."""
        askings, self._retries = self._retries, []
        room = min(PUBLISH_MAX, UNDER_WAY_MAX - len(self._under_way))
        for _ in range(min(room, len(self._waiting))):
            order = self._waiting.popleft()
            if not order.story.slow:
                self._under_way.add(order.order_id)
            confirmed = [Asking(order.order_id, 1, line) for line in (order.confirmed, *order.others())]
            if order.story.cancel in {Cancel.BEFORE, Cancel.WHILE_PAYING}:
                askings.append(Asking(order.order_id, 1, order.cancel()))
            if order.story.cancel is Cancel.BEFORE:
                (self._noted.early[order.order_id],) = confirmed
            else:
                askings += confirmed
            self.progress.published += 1
        return askings

    async def _publish(self, publisher: KafkaPublisher, batch: Sequence[Asking]) -> KafkaPublisher:
        """Publish, again after an outage: repetitions are harmless. Return the publisher; after an outage a new one."""
        checkout = Checkout(self._codec, self._settings.topic_prefix, now(), self._new_id)
        prepared = checkout.prepare(orjson.dumps(asking.line) for asking in batch)
        assert not prepared.bad, prepared.bad
        answer = None
        for again in range(TRIES_MAX):
            try:
                publisher = await _publisher(self._settings) if again else publisher
                answer = await publisher.publish(prepared.messages)
                break
            except Transient:
                await publisher.close()
                await asyncio.sleep(AWAY_S)
        if answer is None:
            raise Transient(f"Kafka did not come back within {TRIES_MAX} tries: run the demo again")
        assert not answer.refused, answer.refused
        now_s = asyncio.get_running_loop().time()
        for asking in batch:
            self._asked_s.setdefault((asking.order_id, asking.attempt), now_s)
        return publisher

    async def _publish_strays(self, publisher: KafkaPublisher) -> None:
        checkout = Checkout(self._codec, self._settings.topic_prefix, now(), self._new_id, checked=False)
        prepared = checkout.prepare(orjson.dumps(stray.line) for stray in self._script.strays)
        assert not prepared.bad, prepared.bad
        await publisher.publish(prepared.messages)

    def _over(self, observed: Observed, now_s: float) -> bool:
        everybody = len(self._ended) == len(self._orders)
        if everybody and self._script.letters.keys() <= observed.letters.keys():
            if all(_all_seen(order, observed) for order in self._script.orders):
                return True
            return now_s - self._last_s > self._quiet_s
        return now_s - self._last_s > LATE_S


def _all_seen(order: ScriptedOrder, observed: Observed) -> bool:
    return order.story.events <= set(observed.marks(order.order_id))


async def _publisher(settings: Settings) -> KafkaPublisher:
    publisher = KafkaPublisher(settings.kafka_options())
    await publisher.start()
    return publisher
