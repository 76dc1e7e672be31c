"""A group of commands that are loaded when they run, and that fail in one line."""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from deploy.cli.failures import explain


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the table: its name, where it is (`module:attribute`), and what `payments --help` says of it."""

    name: str
    place: str
    short_help: str


class LazyGroup(click.Group):
    """Knows its commands by a table, so that --help imports none of them; every failure is one line on stderr."""

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
        module, _, attribute = known.place.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the table's words, without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(command.name, command.short_help) for command in self.table.values()])

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Run, and end the process with the exit code that CONTRACT gives the outcome."""
        try:
            _check_text(sys.argv[1:] if args is None else args)
            outcome = super().main(args, *rest, **{**options, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(2)
        except (click.Abort, KeyboardInterrupt):
            sys.stderr.write("payments: interrupted\n")
            sys.exit(130)
        except Exception as error:
            failure = explain(error)
            if failure is None:
                raise
            sys.stderr.write(f"payments: {failure.text}\n")
            sys.exit(failure.exit_code)
        sys.exit(outcome if isinstance(outcome, int) else 0)


def _check_text(arguments: Sequence[str]) -> None:
    """Raise UsageError for bytes that are no UTF-8: neither the database nor a JSON document can hold them."""
    for number, argument in enumerate(arguments, 1):
        if any("\udc80" <= character <= "\udcff" for character in argument):
            raise click.UsageError(f"argument {number} is not UTF-8: say it in UTF-8")
