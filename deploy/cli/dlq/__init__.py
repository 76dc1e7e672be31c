"""`payments dlq`: dead letters. A file a command."""

import click

from deploy.cli.group import Command, LazyGroup

COMMANDS = (Command("pass", "deploy.cli.dlq.pass_over:pass_over", "pass over a stretch that no client can read"),)


@click.group(cls=LazyGroup, commands_table=COMMANDS)
def dlq() -> None:
    """Dead letters: what could not be processed."""


__all__ = ["COMMANDS", "dlq"]
