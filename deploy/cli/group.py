"""A group of commands. Each is imported when it runs; an error is printed as one line."""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from deploy.failures import WRONG_USAGE, Explained, explain, one_line
from deploy.lean import load_log
from deploy.views.terminal import visible


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the table: its name, where it is (`module:attribute`), and what `payments --help` says of it.

    lasts: it runs until it is stopped, and holds until then what it has loaded.
    """

    name: str
    place: str
    short_help: str
    lasts: bool = False


class LazyGroup(click.Group):
    """Finds its commands in a table, so that --help imports none of them. Prints an error as one line on stderr."""

    def __init__(self, *args: Any, commands_table: Sequence[Command] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.table = {command.name: command for command in commands_table}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """List names in the table's order."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command, or None when there is none of that name."""
        known = self.table.get(cmd_name)
        if known is None:
            return None
        if known.lasts:
            load_log()
        module, _, attribute = known.place.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write names and help from the table, without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(command.name, command.short_help) for command in self.table.values()])

    def main(self, *args: Any, **options: Any) -> Any:
        """Run, and end the process with the exit code of CONTRACT."""
        given = args[0] if args else options.get("args")
        _check_text(sys.argv[1:] if given is None else given)
        try:
            outcome = super().main(*args, **{**options, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(2)
        except (click.Abort, KeyboardInterrupt):
            sys.stderr.write("payments: interrupted\n")
            sys.exit(130)
        except Exception as error:
            failure = _of_usage(error) if isinstance(error, click.ClickException) else explain(error)
            if failure is None:
                raise
            sys.stderr.write(f"payments: {visible(failure.text)}\n")
            sys.exit(failure.exit_code)
        sys.exit(outcome if isinstance(outcome, int) else 0)


def _of_usage(error: click.ClickException) -> Explained:
    """Say what is wrong with how a command was typed."""
    text = one_line(error.format_message())
    if not isinstance(error, click.UsageError):
        return Explained(text, error.exit_code)
    path = error.ctx.command_path if error.ctx is not None else "payments"
    return Explained(f"{text.rstrip('.')}; see `{path} --help`", WRONG_USAGE)


def _check_text(arguments: Sequence[str]) -> None:
    """End with 2 if an argument is not UTF-8: no database, topic or JSON document can hold it."""
    for number, argument in enumerate(arguments, 1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            sys.stderr.write(f"payments: argument {number} is not UTF-8 ({visible(argument)}): write it as UTF-8\n")
            sys.exit(WRONG_USAGE)
