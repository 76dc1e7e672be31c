"""`payments offsets`: where our consumer groups stand. A file a command."""

import click

from deploy.cli.group import Command, LazyGroup

COMMANDS = (
    Command("show", "deploy.cli.offsets.show:show", "what each group has committed, and what it reads next"),
    Command("rewind", "deploy.cli.offsets.rewind:rewind", "set groups back to a time; --dry-run tells before"),
)


@click.group(cls=LazyGroup, commands_table=COMMANDS)
def offsets() -> None:
    """Show where our consumer groups stand on their topics, and set them back."""


__all__ = ["COMMANDS", "offsets"]
