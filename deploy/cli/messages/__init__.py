"""`payments messages`: what customers were told. A file a command."""

import click

from deploy.cli.group import Command, LazyGroup

COMMANDS = (
    Command("list", "deploy.cli.messages.list_:list_", "what customers were told, and what could not be sent"),
    Command("retry", "deploy.cli.messages.retry:retry", "have messages sent that were given up"),
)


@click.group(cls=LazyGroup, commands_table=COMMANDS)
def messages() -> None:
    """Messages to customers: what was sent, what waits, what could not be sent."""


__all__ = ["COMMANDS", "messages"]
