"""Runs work as a process: until a signal, then drained. A bug is logged and ends the process with 1.

Every role runs so, whatever it loads; what only some roles need is not imported here.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import structlog

from deploy.bounds import bounds_of
from deploy.failures import ANSWER_IS_NO, Failure
from deploy.memory import tune_memory
from deploy.metrics.instruments import Instruments
from deploy.running import Stopping, run
from deploy.settings import Settings
from deploy.telemetry import quieten_kafka
from deploy.tracing.instruments import instruments_of
from domain.alarms import ring

Started = Callable[[], None]
Work = Callable[[asyncio.Event, Started, Instruments], Coroutine[Any, Any, None]]


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
