"""What the commands share: options, settings, printing, running."""

import asyncio
import random
import secrets
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click

from deploy.settings import Settings, load_settings
from deploy.terminal import visible, visible_json

if TYPE_CHECKING:
    from schemas.codec import Codec
    from schemas.registry import Registry

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Add --json to a command, as the argument as_json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else.")(
        command
    )


def say(text: str) -> None:
    """Tell a person something in one line, on stderr: stdout is for results."""
    sys.stderr.write(visible(text) + "\n")
    sys.stderr.flush()


def emit(text: str) -> None:
    """Print one line of a result for people, on stdout."""
    sys.stdout.write(visible(text) + "\n")


def emit_json(document: object) -> None:
    """Print the one JSON document of a command with --json; times as ISO 8601, UUIDs as text."""
    import orjson  # noqa: PLC0415 - keeps --help quick

    written = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()
    sys.stdout.write(visible_json(written) + "\n")


def settings_for_command(*, quiet: bool = True, **how: Any) -> Settings:
    """Read the settings (arguments as of load_settings) and set up the log.

    quiet: for commands that end by themselves. Libraries then log nothing, for the command's own last line says what is
    the matter. Raises SettingsError, which ends the command with 2.
    """
    from deploy import telemetry  # noqa: PLC0415 - keeps --help quick

    settings = load_settings(**how)
    library_level = "CRITICAL" if quiet else "WARNING"
    telemetry.configure(settings.log_format, settings.log_level, library_level=library_level)
    return settings


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run an asynchronous command to its end, on uvloop where there is one."""
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def now() -> datetime:
    """Read the clock, in UTC: commands are where people's time comes in."""
    return datetime.now(UTC)  # noqa: TID251 - as above


def id_source(seed: int | None = None) -> Callable[[], UUID]:
    """Make a source of random event ids; the same seed gives the same ids, None a seed of its own."""
    draw = random.Random(secrets.randbits(128) if seed is None else seed)  # noqa: S311 - ids, not secrets
    return lambda: UUID(int=draw.getrandbits(128), version=4)


def codec_of(settings: Settings, *, written_max: int = 0, registry: "Registry | None" = None) -> "Codec":
    """Make the codec of this deployment: its prefix, limits and registry.

    written_max: how many events it keeps in mind that it wrote and will read. registry: what to use for that of the
    settings; by default one that waits for every answer, which a command may and an event loop must not.
    """
    from schemas.codec import Codec  # noqa: PLC0415 - keeps --help quick

    if registry is None and settings.schema_registry_url is not None:
        from schemas.confluent import ConfluentRegistry  # noqa: PLC0415 - a large library, and most have no registry

        registry = ConfluentRegistry.at(settings.schema_registry_url)
    return Codec(
        registry=registry,
        prefix=settings.topic_prefix,
        message_bytes_max=settings.message_bytes_max,
        amount_max_minor=settings.amount_max_minor,
        written_max=written_max,
    )
