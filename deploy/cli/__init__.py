"""The command `payments`: one file a command, each loaded when it is asked for.

What belongs here: options, printing, exit codes (0 done, 1 the answer is no, 2 usage or settings, 3 a service is not
reached). What never will: what the commands do; they call the packages below.
"""

import click

from deploy.cli.group import Command, LazyGroup

COMMANDS = (
    Command("topics", "deploy.cli.topics:topics", "Kafka topics: create"),
    Command("publish", "deploy.cli.publish:publish", "publish events from JSON lines, as checkout would"),
    Command("config", "deploy.cli.config:config", "the settings in force, secrets masked"),
)


@click.group(cls=LazyGroup, commands_table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Payments: a confirmed order becomes Paid & Confirmed, or Payment Failed with the money back.

    Settings come from the environment (PAYMENTS_...), a .env file, or an embedded run that lies here.
    Exit codes: 0 done, 1 the answer is no, 2 wrong usage or settings, 3 a service it needs cannot be reached.
    """


__all__ = ["COMMANDS", "main"]
