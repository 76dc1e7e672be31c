"""Checks what a command or a process needs before it begins. They do not wait: they name what is missing.

The checks of a process run side by side, and one line names every problem. Loads no client library.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from deploy.failures import NOT_REACHED, WRONG_USAGE, Failure, explain, listed
from deploy.settings import Settings, SettingsError
from outbox.driver.pooler import Pooling, pooling_of
from outbox.driver.refused import DATABASE
from outbox.schema.privileges import Process, lacked_for_upkeep, lacked_privileges
from outbox.schema.state import schema_state
from schemas.version import RELEASE

NAMED_MAX: Final = 6

DIRECT: Final = "PAYMENTS_DATABASE_DIRECT_URL"
PAST_A_POOLER: Final = frozenset({Process.RELAY, Process.UPKEEP})
"""Who uses PAYMENTS_DATABASE_DIRECT_URL, if it is set."""

Check = Callable[[], Awaitable[None]]


class Place(NamedTuple):
    """A database, and the setting that names it."""

    setting: str
    sqlalchemy_url: str
    psycopg_url: str


async def check_all(*checks: Check) -> None:
    """Run these checks side by side.

    Raises the error if there is one, or a Failure that names all. Wrong settings and unexpected errors come first.
    """
    results = await asyncio.gather(*(check() for check in checks), return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    texts = []
    for error in errors:
        explained = explain(error) if isinstance(error, Exception) else None
        if explained is None or explained.exit_code == WRONG_USAGE or len(errors) == 1:
            raise error
        texts.append(explained.text)
    # Two checks of one server that is down give the same text.
    texts = list(dict.fromkeys(texts))
    if len(texts) == 1:
        raise Failure(texts[0], NOT_REACHED)
    if texts:
        raise Failure(f"{len(texts)} things keep this from starting: {'; and '.join(texts)}", NOT_REACHED)


def database_checks(settings: Settings, *processes: Process) -> list[Check]:
    """Return the checks of the databases: each answers, is migrated, and its user has the rights of these processes.

    There are two when PAYMENTS_DATABASE_DIRECT_URL is set and one of the processes uses it.
    """
    plain = Place(DATABASE, settings.sqlalchemy_url(), settings.psycopg_url())
    if settings.database_direct_url is None:
        return [_check_of(plain, processes)]
    direct = Place(DIRECT, settings.sqlalchemy_direct_url(), settings.direct_url())
    by_place = {
        plain: [p for p in processes if p not in PAST_A_POOLER],
        direct: [p for p in processes if p in PAST_A_POOLER],
    }
    return [_check_of(place, those) for place, those in by_place.items() if those]


def _check_of(place: Place, processes: Collection[Process]) -> Check:
    async def check() -> None:
        with _naming(place.setting):
            await asyncio.to_thread(check_database, place, processes)

    return check


@contextmanager
def _naming(setting: str) -> Iterator[None]:
    """Name this setting in errors of the database's driver."""
    try:
        yield
    except Exception as error:
        explained = explain(error, setting)
        if explained is None or isinstance(error, Failure | SettingsError):
            raise
        raise Failure(explained.text, explained.exit_code) from error


def check_database(place: Place, processes: Collection[Process]) -> None:
    """Raise an error if these processes cannot work with the database. What only upkeep lacks is logged.

    Without upkeep the inbox has partitions for days, and the alarm `inbox_days` comes before they run out.
    """
    _check_schema(place)
    needed = set(processes) - {Process.UPKEEP}
    if needed and (lacked := lacked_privileges(place.psycopg_url, needed)):
        raise Failure(
            f"the database's user lacks {listed(lacked, NAMED_MAX)}: "
            f"grant that, or set the user of this process in {place.setting}",
            NOT_REACHED,
        )
    if Process.UPKEEP in processes and (lacked := lacked_for_upkeep(place.psycopg_url)):
        import structlog  # noqa: PLC0415 - commands that only look at the schema need no log

        structlog.get_logger("deploy.readiness").warning(
            f"the database's user lacks {listed(lacked, NAMED_MAX)}: the inbox gets no new days from this process. "
            f"Grant that, or set a user who has it in {DIRECT}"
        )


def check_schema(settings: Settings) -> None:
    """Raise Failure that says what to do, unless this release can work with the database's schema."""
    _check_schema(Place(DATABASE, settings.sqlalchemy_url(), settings.psycopg_url()))


def _check_schema(place: Place) -> None:
    state = schema_state(place.sqlalchemy_url)
    if state.usable:
        return
    if state.too_new:
        raise Failure(
            f"the schema is at revision {state.revision} of a newer release, which has taken away what this one "
            f"({RELEASE}) needs: run the newer release, or set {place.setting} to the database of this one",
            NOT_REACHED,
        )
    if state.revision is None:
        found = "the database has no schema"
    elif state.too_old:
        found = f"the schema is at revision {state.revision}, and this release needs {state.needed}"
    else:
        found = "the inbox has no partitions"
    if place.setting != DATABASE:
        raise Failure(
            f"at {place.setting}, {found}: set it to the database of {DATABASE}, or run `payments migrate`", NOT_REACHED
        )
    raise Failure(f"{found}: run `payments migrate`", NOT_REACHED)


async def check_session(settings: Settings, who: str) -> None:
    """Raise SettingsError if who would share its session: a pooler gives sessions to several clients."""
    where = DATABASE if settings.database_direct_url is None else DIRECT
    with _naming(where):
        pooling = await pooling_of(settings.direct_url())
    if pooling is not Pooling.TRANSACTION:
        return
    raise SettingsError(
        f"{where} leads through a pooler that shares sessions, and {who} needs one of its own: "
        f"set {DIRECT} to PostgreSQL itself"
    )
