"""Whether the database is what this release needs: asked by every command before it begins."""

from deploy.cli.failures import NOT_REACHED, Failure
from deploy.settings import Settings, SettingsError
from outbox.pooler import Pooling, pooling_of
from outbox.schema import schema_state


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
