"""Whether the database is what this release needs: asked by every command before it begins. Loads no client library."""

from deploy.cli.failures import NOT_REACHED, Failure
from deploy.settings import Settings
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
