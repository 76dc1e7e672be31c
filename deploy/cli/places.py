"""What the commands that start servers share: --data, progress, and how to reach them from another terminal."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from deploy.cli.common import say

if TYPE_CHECKING:
    from deploy.embedded import EmbeddedRun
    from deploy.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_DATA = Path(".payments")


def data_option(command: F) -> F:
    """Add --data to a command, as the argument data."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="The servers' folder.  [default: PAYMENTS_DATA, or ./.payments]",
    )(command)


def progress_of(settings: "Settings") -> Callable[[str], None]:
    """Return what shows progress: plain lines for people, log lines if the log is JSON."""
    if settings.log_format == "console":
        return say
    import structlog  # noqa: PLC0415 - keeps --help quick

    return structlog.get_logger("deploy.servers").info  # type: ignore[no-any-return]


def list_servers(run: "EmbeddedRun", progress: Callable[[str], None]) -> None:
    """Show address, version and pid of each server."""
    for name, server in run.state().items():
        progress(f"  {name:<11} {server['address']:<16} {server['version']:<8} pid {server['pid']}")


def elsewhere(settings: "Settings") -> str:
    """Return the prefix of a command that uses these servers from another terminal in the same folder."""
    return "" if settings.data == DEFAULT_DATA else f"PAYMENTS_DATA={settings.data} "
