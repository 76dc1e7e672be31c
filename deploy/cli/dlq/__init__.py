"""`payments dlq`: dead letters. A file a command."""

import click

from deploy.cli.group import Command, LazyGroup

COMMANDS = (
    Command("list", "deploy.cli.dlq.list_:list_", "what could not be processed, and what waits in quarantine"),
    Command("show", "deploy.cli.dlq.show:show", "one letter: why, what it says, who had it redriven"),
    Command("redrive", "deploy.cli.dlq.redrive:redrive", "process letters once more; --dry-run tells before"),
    Command("give-up", "deploy.cli.dlq.give_up:give_up", "have a letter in quarantine never be processed"),
    Command("pass", "deploy.cli.dlq.pass_over:pass_over", "pass over a stretch that no client can read"),
)


@click.group(cls=LazyGroup, commands_table=COMMANDS)
def dlq() -> None:
    """Dead letters: what could not be processed."""


__all__ = ["COMMANDS", "dlq"]
