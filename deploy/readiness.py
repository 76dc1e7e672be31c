"""What must be there before a command or a process begins. At start nothing is waited for: what is not there is named.

The checks of a process run side by side, and its one line names every problem. Loads no client library.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from deploy.cli.failures import NOT_REACHED, WRONG_USAGE, Failure, explain
from deploy.settings import Settings, SettingsError
from outbox.pooler import Pooling, pooling_of
from outbox.privileges import Process, lacked_privileges
from outbox.schema import schema_state

NAMED_MAX: Final = 6

Check = Callable[[], Awaitable[None]]


async def check_all(*checks: Check) -> None:
    """Make these checks side by side.

    Raises the one error there is, or a Failure that names all. Wrong settings, and what nobody expects, come first.
    """
    results = await asyncio.gather(*(check() for check in checks), return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    texts = []
    for error in errors:
        explained = explain(error) if isinstance(error, Exception) else None
        if explained is None or explained.exit_code == WRONG_USAGE or len(errors) == 1:
            raise error
        texts.append(explained.text)
    if texts:
        raise Failure(f"{len(texts)} things keep this from starting: {'; and '.join(texts)}", NOT_REACHED)


def database_check(settings: Settings, *processes: Process) -> Check:
    """Return the check of the database: reached, migrated, and its user may do what this process does."""

    async def check() -> None:
        await asyncio.to_thread(check_database, settings, processes)

    return check


def check_database(settings: Settings, processes: Collection[Process]) -> None:
    """Raise what says why this process cannot work with the database."""
    check_schema(settings)
    lacked = lacked_privileges(settings.psycopg_url(), processes)
    if lacked:
        more = f" and {len(lacked) - NAMED_MAX} more" if len(lacked) > NAMED_MAX else ""
        raise Failure(
            f"the database's user lacks {', '.join(lacked[:NAMED_MAX])}{more}: "
            "grant that, or set the user of this process in PAYMENTS_DATABASE_URL",
            NOT_REACHED,
        )


def check_schema(settings: Settings) -> None:
    """Raise Failure, naming the command that makes it, unless the database has the schema of this release."""
    state = schema_state(settings.sqlalchemy_url())
    if state.usable:
        return
    if state.revision is None:
        found = "the database has no schema"
    elif state.revision != state.head:
        found = f"the schema is at revision {state.revision}, and this release needs {state.head}"
    else:
        found = "the inbox has no partitions"
    raise Failure(f"{found}: run `payments migrate`", NOT_REACHED)


async def check_session(settings: Settings, who: str) -> None:
    """Raise SettingsError if who, which needs a session of its own, would share one: a pooler hands them about."""
    if await pooling_of(settings.direct_url()) is not Pooling.TRANSACTION:
        return
    where = "URL" if settings.database_direct_url is None else "DIRECT_URL"
    raise SettingsError(
        f"PAYMENTS_DATABASE_{where} leads through a pooler that shares sessions, and {who} needs one of its own: "
        "set PAYMENTS_DATABASE_DIRECT_URL to PostgreSQL itself"
    )
