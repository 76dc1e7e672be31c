"""`payments dlq pass`: an operator has a partition go on behind what no client can read."""

import click

from deploy.cli.common import emit, emit_json, json_option, run, settings_for_command
from deploy.cli.who import os_user
from deploy.readiness import check_schema

TEXT_MAX = 500


def _checked_text(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    if text is not None and not 1 <= len(text.strip()) <= TEXT_MAX:
        raise click.BadParameter(f"say it in 1 to {TEXT_MAX} characters")
    return text


@click.command("pass")
@click.argument("topic")
@click.argument("partition", type=click.IntRange(min=0))
@click.option("--from", "first", type=click.IntRange(min=0), required=True, help="The first offset to pass over.")
@click.option("--to", "last", type=click.IntRange(min=0), required=True, help="The last offset to pass over.")
@click.option("--reason", required=True, callback=_checked_text, help="Why; it is kept.")
@click.option("--by", callback=_checked_text, help="Who says so; by default your user name.")
@json_option
def pass_over(*, topic: str, partition: int, first: int, last: int, reason: str, by: str | None, as_json: bool) -> None:
    """Have the consumer of TOPIC go on behind offset --to of PARTITION.

    TOPIC is an event's name, with or without the prefix. The alarm `unreadable` names all three numbers. The consumer
    that stands there leaves a dead letter, goes on within seconds, and commits. Messages of the stretch are lost to
    this module: find them in the publisher's log first. Offsets that can be read are not passed over.
    """
    from deploy.passing import Wish, say_pass  # noqa: PLC0415 - keeps --help quick

    settings = settings_for_command()
    check_schema(settings)
    said = run(say_pass(settings, Wish(topic, partition, first, last, reason.strip(), (by or os_user()).strip())))
    if as_json:
        emit_json(said)
        return
    emit(
        f"{said['topic']}[{said['partition']}]: offsets {said['from']} to {said['to']} will be passed over "
        "by the consumer that stands before them"
    )
