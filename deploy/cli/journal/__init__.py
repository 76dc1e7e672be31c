"""`payments journal`: what this module has published, as the database keeps it. A file a command."""

import click

from deploy.cli.group import Command, LazyGroup

COMMANDS = (
    Command("republish", "deploy.cli.journal.republish:republish", "send events again after the loss of a topic"),
)


@click.group(cls=LazyGroup, commands_table=COMMANDS)
def journal() -> None:
    """Use what the database keeps of all that this module has published."""


__all__ = ["COMMANDS", "journal"]
