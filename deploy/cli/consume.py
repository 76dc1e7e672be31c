"""`payments consume`: the consumers of some triggers, or of all."""

from collections.abc import Sequence
from functools import partial

import click

from consumers.reactions import BY_TRIGGER, REACTIONS
from deploy.cli.common import settings_for_command
from deploy.consuming import all_consumed, check_consumed
from deploy.processes import run_until_stopped
from deploy.roles import Roles, roles_until
from domain.reaction import Reaction

ALL = "all"


@click.command(epilog=f"Names: {', '.join(BY_TRIGGER)}, {ALL}.")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def consume(*, names: tuple[str, ...]) -> int:
    """Run the consumers of these triggers, until SIGTERM.

    NAME is the event that a consumer reacts to. As many processes may run as are wanted; each takes its share of the
    partitions. The first SIGTERM lets it finish what it does, a second one ends it at once. Needs `payments migrate`
    and `payments topics create` before.
    """
    chosen: Sequence[Reaction] = reactions_of(names)
    settings = settings_for_command(quiet=False)
    if ALL in names:
        chosen = all_consumed(settings)
    check_consumed(settings, chosen)
    consumed = ",".join(reaction.trigger.TYPE for reaction in chosen)
    work = partial(roles_until, settings, Roles(consume=chosen))
    return run_until_stopped(settings, work, roles="consume", consumes=consumed)


def reactions_of(names: tuple[str, ...]) -> tuple[Reaction, ...]:
    """Find the reactions to these triggers, each once. Raises UsageError for a name that is none."""
    unknown = [name for name in names if name != ALL and name not in BY_TRIGGER]
    if unknown:
        raise click.UsageError(
            f"no consumer reacts to {', '.join(unknown)}; the names are {', '.join(BY_TRIGGER)}, or {ALL}"
        )
    return REACTIONS if ALL in names else tuple(BY_TRIGGER[name] for name in dict.fromkeys(names))
