"""What the commands share: options, settings, printing, running."""

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import click

from deploy.settings import Settings, load_settings
from deploy.views.terminal import visible, visible_json

F = TypeVar("F", bound=Callable[..., Any])
TOLD_EVERY_S: Final = 5.0


def json_option(command: F) -> F:
    """Add --json to a command, as the argument as_json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else.")(
        command
    )


def say(text: str) -> None:
    """Print one line for people on stderr: stdout is for results."""
    sys.stderr.write(visible(text) + "\n")
    sys.stderr.flush()


def seldom(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Pass on a line of progress every TOLD_EVERY_S seconds only."""
    told_at = time.monotonic()

    def progress(text: str) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= TOLD_EVERY_S:
            told_at = time.monotonic()
            tell(text)

    return progress


def emit(text: str) -> None:
    """Print one line of a result for people, on stdout."""
    sys.stdout.write(visible(text) + "\n")


def emit_json(document: object) -> None:
    """Print the one JSON document of a command with --json; times as ISO 8601, UUIDs as text."""
    import orjson  # noqa: PLC0415 - keeps --help quick

    written = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()
    sys.stdout.write(visible_json(written) + "\n")


def answer(document: object, lines: Iterable[str], *, as_json: bool, tell: Callable[[str], None] = emit) -> None:
    """Print the result of a command: one document for programs, or these lines for people. tell: prints a line."""
    if as_json:
        emit_json(document)
        return
    for line in lines:
        tell(line)


def settings_with_schema(*, changes: bool = True) -> Settings:
    """Read the settings of a command that needs the database. Raises Failure unless it has this release's schema.

    changes: it changes something there, so it is announced: no contraction begins until it ends, and a take-over that
    runs ends. A command that only reads must not end one.
    """
    from deploy.presence import announce_command  # noqa: PLC0415 - keeps --help quick
    from deploy.readiness import check_schema  # noqa: PLC0415 - as above

    settings = settings_for_command()
    check_schema(settings)
    if changes:
        announce_command(settings)
    return settings


def settings_for_reading() -> Settings:
    """Read the settings of a command that only reads the database. Raises Failure unless it has this release's schema.

    No log is set up, for its libraries take longer to load than such a command to answer: what it needs never logs.
    """
    from deploy.readiness import check_schema  # noqa: PLC0415 - keeps --help quick

    settings = load_settings()
    check_schema(settings)
    return settings


def settings_for_command(*, quiet: bool = True, **how: Any) -> Settings:
    """Read the settings (arguments as of load_settings) and set up the log.

    quiet: for commands that end by themselves. Libraries then log nothing: the command's own last line names the
    problem. Raises SettingsError, which ends the command with 2.
    """
    from deploy import telemetry  # noqa: PLC0415 - keeps --help quick

    settings = load_settings(**how)
    telemetry.configure(settings.log_format, settings.log_level, library_level="CRITICAL" if quiet else "WARNING")
    return settings
