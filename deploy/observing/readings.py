"""Looks at the database and at Kafka every few seconds, each by itself, for the metrics of a sweep.

While a server does not answer, its metrics are absent: an old number would look like a present one.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from time import perf_counter
from typing import Any, Final

import psycopg
import structlog

from deploy.metrics.counting import event_label, letter_label, review_label
from deploy.metrics.metric import known
from deploy.metrics.numbers import Counter, Labels, Numbers
from deploy.metrics.of_state import OF_STATE
from deploy.observing.lags import Lags
from deploy.settings import Settings
from domain.errors import Transient
from domain.operation import OperationKind, OperationState
from domain.order import Status
from outbox.audit import NUMBERED
from outbox.driver.conninfo import connect
from outbox.operators.standing import Standing, read_standing

Values = dict[str, dict[Labels, float]]
REST: Final = 4
"""A look that takes long is made seldom: afterwards it rests for four times as long."""
WAITS_FOR: Final = ("us", "customer", "bank", "operator")


class Readings:
    """The values of what database and Kafka know, as of the last look. now: reads the clock."""

    def __init__(self, settings: Settings, numbers: Numbers, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._values: dict[str, Values] = {"database": {}, "kafka": {}}
        self._took: dict[Labels, float] = {}
        self._failed: Counter = numbers.counter("payments_readings_failed_total")
        self._lags = Lags(settings, now)
        self._log = structlog.get_logger("deploy.observing")
        for source in self._values:
            self._failed.add((source,), 0)
        numbers.gauge("payments_reading_seconds", lambda: self._took)
        for metric in OF_STATE:
            numbers.gauge(metric.name, self._reader(metric.name))

    async def run(self, stop: asyncio.Event) -> None:
        """Look until stop is set."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat("database", self._database(), stop))
            group.create_task(self._repeat("kafka", self._kafka(), stop))

    def _reader(self, name: str) -> Callable[[], dict[Labels, float]]:
        def read() -> dict[Labels, float]:
            return next((values[name] for values in self._values.values() if name in values), {})

        return read

    async def _repeat(self, source: str, look: "_Look", stop: asyncio.Event) -> None:
        try:
            failing = False
            while not stop.is_set():
                began = perf_counter()
                try:
                    self._values[source] = await look.once()
                    failing = False
                except Exception as error:  # noqa: BLE001 - payments go on, whatever it is
                    expected = isinstance(error, Transient | psycopg.Error | OSError)
                    # Once an outage: the other loops meet it, too, and ring.
                    tell = self._log.debug if failing and expected else self._log.warning
                    failing = True
                    tell("metrics not read", source=source, error=str(error), exc_info=None if expected else error)
                    self._values[source] = {}
                    self._failed.add((source,))
                self._took[source,] = took = perf_counter() - began
                interval_s = self._settings.metrics_interval_s
                pause_s = interval_s if failing else max(interval_s - took, took * REST)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause_s)
        finally:
            await look.close()

    def _database(self) -> "_Look":
        return _OfDatabase(self._settings)

    def _kafka(self) -> "_Look":
        return _OfKafka(self._lags)


class _Look(ABC):
    """One source."""

    @abstractmethod
    async def once(self) -> Values:
        """Look."""

    @abstractmethod
    async def close(self) -> None:
        """Close what is open."""


class _OfDatabase(_Look):
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def once(self) -> Values:
        try:
            async with asyncio.timeout(READ_S):
                if self._connection is None or self._connection.closed:
                    self._connection = await connect(
                        self._settings.psycopg_url(), name="payments metrics", autocommit=True
                    )
                return values_of(await read_standing(self._connection), self._settings.topic_prefix)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


class _OfKafka(_Look):
    def __init__(self, lags: Lags) -> None:
        self._lags = lags

    async def once(self) -> Values:
        async with asyncio.timeout(READ_S):
            lags = await self._lags.read()
        return {
            "payments_consumer_lag_messages": {names: lag.messages for names, lag in lags.items()},
            "payments_consumer_lag_seconds": {names: lag.seconds for names, lag in lags.items()},
        }

    async def close(self) -> None:
        await self._lags.close()


READ_S: Final = 60


def values_of(standing: Standing, prefix: str) -> Values:
    """Return the values of the metrics of the database. Where an alert looks there is a 0, too."""
    orders: dict[Labels, float] = {}
    ages: dict[Labels, float] = {(whom,): 0.0 for whom in WAITS_FOR}
    for status, whom, count, age_s in standing.orders:
        orders[known(status, list(Status)), whom] = count
        ages[whom,] = max(ages[whom,], age_s)
    operations: dict[Labels, float] = {}
    for kind, state, count, _ in standing.operations:
        operations[known(kind, list(OperationKind)), known(state, list(OperationState))] = count
    unknown_s = max((age_s for _, state, _, age_s in standing.operations if state == OperationState.UNKNOWN), default=0)
    letters: dict[Labels, float] = {}
    for topic, reason, count in standing.letters:
        labels = event_label(topic, prefix), letter_label(reason)
        letters[labels] = letters.get(labels, 0) + count
    reviews: dict[Labels, float] = {}
    for reason, count, _ in standing.reviews:
        label = (review_label(reason),)
        reviews[label] = reviews.get(label, 0) + count
    waiting, given_up = standing.messages
    return {
        "payments_orders_unfinished": orders,
        "payments_order_unfinished_oldest_age_seconds": ages,
        "payments_operations_unfinished": operations,
        "payments_operation_unknown_oldest_age_seconds": {(): unknown_s},
        "payments_outbox_messages": {(): standing.outbox[0]},
        "payments_outbox_oldest_age_seconds": {(): standing.outbox[1]},
        "payments_dead_letters_waiting": letters,
        "payments_quarantine_waiting": {(kind,): count for kind, count in standing.quarantine},
        "payments_reviews_open": reviews,
        "payments_review_oldest_age_seconds": {(): max((age_s for *_, age_s in standing.reviews), default=0)},
        "payments_customer_messages": {("waiting",): waiting, ("given_up",): given_up},
        **_audited(standing),
    }


def _audited(standing: Standing) -> Values:
    audited = standing.audited
    if audited is None:
        return {}
    return {
        "payments_audit_holds": {(): float(not audited.found)},
        "payments_audit_violations": {(str(number),): audited.found.get(number, 0) for number in NUMBERED},
        "payments_audit_age_seconds": {(): audited.age_s},
        "payments_audit_orders": {(): audited.orders},
    }
