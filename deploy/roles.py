"""Runs roles as processes: check at start, run until a signal, drain. A bug is logged and ends the process with 1."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from consumers.runtime.guard import Guard
from deploy.failures import ANSWER_IS_NO, Failure
from deploy.memory import tune_gc, tune_memory
from deploy.metrics.instruments import Instruments
from deploy.notifying import say_who_is_told
from deploy.presence import present
from deploy.readiness import check_all, check_session, database_checks
from deploy.running import Stopping, now, run
from deploy.settings import Settings, SettingsError
from deploy.telemetry import quieten_kafka
from deploy.topics import check_rights, check_topics
from deploy.tracing.instruments import instruments_of
from deploy.webhooks.tally import Came
from deploy.wiring import bounds_of, engine_of, relay_of, source_maker
from domain.alarms import ring
from domain.ports.notices import KeepsNotices
from domain.reaction import Reaction
from outbox.schema.privileges import Process

if TYPE_CHECKING:
    from deploy.webhooks.run import Webhooks

NAMED_MAX = 3
"""So many topics are named where somebody is told what a process does."""
Started = Callable[[], None]
Work = Callable[[asyncio.Event, Started, Instruments], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Roles:
    """What one process does. consume: reactions whose topics it reads. webhooks: only if there is a secret for them."""

    consume: Sequence[Reaction] = ()
    relay: bool = False
    sweep: bool = False
    webhooks: bool = False

    def __str__(self) -> str:
        """Name them, as commands do."""
        names = {"relay": self.relay, "sweep": self.sweep, "webhooks": self.webhooks}
        few = len(self.consume) <= NAMED_MAX
        consumed = ",".join(r.trigger.TYPE for r in self.consume) if few else f"{len(self.consume)} topics"
        return " ".join([*(["consume " + consumed] if consumed else []), *(name for name, has in names.items() if has)])


def run_until_stopped(
    settings: Settings,
    work: Work,
    ready: Started = lambda: None,
    stopping: Stopping | None = None,
    *,
    kafka: bool = True,
    **running: object,
) -> int:
    """Check what is needed, run the work until a signal, and return the process's exit code.

    stopping: the handler of signals, if there is one already. kafka: the work needs it. Once the work runs, a line with
    the fields of running is logged and ready is called. From its beginning the process answers scrapes and probes, if
    the settings say where. Errors before that are raised. Later ones are bugs: they are
    logged, and the code is 1. With metrics the process then stays for one more scrape, so that its alarm is heard.
    """
    tune_memory()
    quieten_kafka(settings)
    if kafka:
        settings.kafka_options()
    log = structlog.get_logger("deploy.roles")
    has_started = False
    instruments = instruments_of(settings, str(running.get("roles", "")), bounds_of(settings).stalled_after_s)

    def started() -> None:
        nonlocal has_started
        has_started = True
        instruments.health.start()
        log.info("running", **running)
        ready()

    async def main(signals: Stopping) -> None:
        stop = signals.event()
        logging_stop = asyncio.create_task(_log_stopping(stop))
        async with instruments.serving():
            with _telling(lambda: has_started) as codes:
                await work(stop, started, instruments)
            if codes:
                # Who replaces processes one by one must not take this one for a new one that works.
                instruments.health.end()
                await instruments.await_scrape(stop)
                raise _Told(codes[0])
        logging_stop.cancel()

    try:
        with nullcontext(stopping) if stopping else Stopping() as signals:
            run(main(signals))
    except _Told as told:
        return told.exit_code
    except Exception as error:  # noqa: BLE001 - whatever it is, it is logged, and the process ends
        if not has_started:
            raise next(leaves(error)) from None
        return _tell_end(error)
    log.info("stopped")
    return 0


class _Told(Exception):  # noqa: N818 - it only carries the end outwards
    """The work has ended with an error, and that is logged. exit_code: of the process."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@contextmanager
def _telling(has_started: Callable[[], bool]) -> Iterator[list[int]]:
    """Log what the work raises once it has started; yields a list that the exit code is put into."""
    codes: list[int] = []
    try:
        yield codes
    except Exception as error:
        if not has_started():
            raise
        codes.append(_tell_end(error))


def _tell_end(error: BaseException) -> int:
    """Log what ended a process that ran, and return its exit code: that of a Failure, or the one of a bug."""
    causes = list(leaves(error))
    unfit = [cause for cause in causes if isinstance(cause, Failure)]
    for failure in unfit:
        structlog.get_logger("deploy.roles").error(str(failure))
    for cause in causes:
        if cause not in unfit:
            log_bug(cause)
    return unfit[0].exit_code if unfit else ANSWER_IS_NO


async def _log_stopping(stop: asyncio.Event) -> None:
    await stop.wait()
    structlog.get_logger("deploy.roles").info(
        "stopping: what is under way is finished; a second signal ends it at once"
    )


async def check_relay(settings: Settings) -> None:
    """Check what a relay needs. It sends bodies as they are, so it needs no registry."""
    await check_all(
        *database_checks(settings, Process.RELAY),
        partial(check_session, settings, "the relay"),
        partial(check_topics, settings),
        partial(check_rights, settings, relays=True),
    )


async def relay_until(settings: Settings, stop: asyncio.Event, started: Started, instruments: Instruments) -> None:
    """Relay until stop is set. It needs no gateway, so its process holds no key."""
    await check_relay(settings)
    guard = Guard(bounds_of(settings))
    instruments.health.watch(guard.ages)
    relay = relay_of(settings, guard.turn, instruments)
    async with present(settings, "relay", direct=True) as beat:
        started()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(guard.watch())
            group.create_task(beat(stop))
            await relay.run(stop)
            watching.cancel()


async def roles_until(
    settings: Settings, roles: Roles, stop: asyncio.Event, started: Started, instruments: Instruments
) -> None:
    """Run these roles until stop is set, then drain. started: called when the checks at start have passed.

    An error before that is what keeps them from starting; a later one is a bug.
    """
    instruments.expect([reaction.name for reaction in roles.consume])
    async with (
        engine_of(settings, relay=roles.relay, sweep=roles.sweep, instruments=instruments) as engine,
        present(settings, str(roles)) as beat,
    ):
        if roles.consume or roles.relay:
            await check_rights(settings, roles.consume, relays=roles.relay)
        tune_gc()
        say_who_is_told(settings)
        also = [beat(stop)]
        also += [relay_of(settings, engine.guard.turn, instruments).run(stop)] if roles.relay else []
        also += _observing(settings, instruments, stop) if roles.sweep else []
        webhooks = _webhooks_of(settings, engine.ports.notices, instruments) if roles.webhooks else None
        if webhooks is None:
            started()
        else:
            also.append(webhooks.run(stop, started))
        await engine.run(
            stop, roles.consume, source_maker(settings, instruments.health.joined), sweep=roles.sweep, also=also
        )


def _observing(settings: Settings, instruments: Instruments, stop: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
    """Return what a sweep does besides: audits of changed orders, and looks at what database and Kafka know."""
    from deploy.observing.audits import Audits  # noqa: PLC0415 - what only a sweep needs

    if instruments.numbers is None:
        return [Audits(settings).run(stop)]
    from deploy.observing.readings import Readings  # noqa: PLC0415 - what only a sweep with metrics needs

    return [Audits(settings).run(stop), Readings(settings, instruments.numbers, now).run(stop)]


def _webhooks_of(settings: Settings, notices: KeepsNotices | None, instruments: Instruments) -> "Webhooks | None":
    """Return the endpoint; None, and a line of the log, if there is no secret to check webhooks with."""
    if notices is None or not settings.webhook_secrets():
        text = "no webhooks are taken, for PAYMENTS_STRIPE_WEBHOOK_SECRET is not set; the gateway's events are polled"
        structlog.get_logger("deploy.roles").info(text)
        return None
    from deploy.webhooks.making import webhooks_of  # noqa: PLC0415 - needs an HTTP server

    return webhooks_of(settings, notices, instruments.webhooks(Came))


async def webhooks_until(settings: Settings, stop: asyncio.Event, started: Started, instruments: Instruments) -> None:
    """Take webhooks until stop is set. It needs neither Kafka nor the gateway's key.

    Raises SettingsError if there is no secret.
    """
    if not settings.webhook_secrets():
        raise SettingsError(
            "set PAYMENTS_STRIPE_WEBHOOK_SECRET (or PAYMENTS_STRIPE_WEBHOOK_SECRET_FILE) to the signing secret of the "
            "endpoint, which the gateway's dashboard shows (whsec_...)"
        )
    from deploy.webhooks.making import notices_of, webhooks_of  # noqa: PLC0415 - as above

    await check_all(*database_checks(settings, Process.WEBHOOKS))
    async with (
        notices_of(settings) as notices,
        present(settings, "webhooks") as beat,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(beat(stop))
        await webhooks_of(settings, notices, instruments.webhooks(Came)).run(stop, started)


async def relay_once(settings: Settings) -> int:
    """Send what the outbox holds; return how many messages."""
    await check_relay(settings)
    return await relay_of(settings).once()


async def sweep_once(settings: Settings) -> int:
    """Do everything that is due; return the number of operations."""
    async with engine_of(settings, sweep=True) as engine:
        return await engine.once()


def run_once(settings: Settings, work: Callable[[Settings], Coroutine[Any, Any, int]]) -> int:
    """Do the work and return its count. Raises what keeps it from starting, or what one of its tasks raised."""
    quieten_kafka(settings)
    settings.kafka_options()
    try:
        return run(work(settings))
    except ExceptionGroup as group:
        raise next(leaves(group)) from None


def leaves(error: BaseException) -> Iterator[Exception]:
    """Return the errors inside a group, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    elif isinstance(error, Exception):
        yield error


def log_bug(error: Exception) -> None:
    """Ring the alarm of a bug: type, text and traceback, without values of variables."""
    ring(
        structlog.get_logger("deploy.roles"),
        "bug",
        "this process stops: a bug, or something that it cannot go on without; restart it, nothing is lost",
        error_type=type(error).__name__,
        error=str(error),
        exc_info=error,
    )
