"""`payments dlq pass`: a partition goes on behind messages that no client can read."""

import click

from deploy.cli.common import answer, json_option, settings_with_schema
from deploy.cli.words import check_words, os_user
from deploy.running import run


@click.command("pass")
@click.argument("topic")
@click.argument("partition", type=click.IntRange(min=0))
@click.option("--from", "first", type=click.IntRange(min=0), required=True, help="The first offset to pass over.")
@click.option("--to", "last", type=click.IntRange(min=0), required=True, help="The last offset to pass over.")
@click.option("--reason", required=True, callback=check_words, help="Why; it is kept.")
@click.option("--by", callback=check_words, help="Who says so; by default your user name.")
@json_option
def pass_over(*, topic: str, partition: int, first: int, last: int, reason: str, by: str | None, as_json: bool) -> None:
    """Have the consumer of TOPIC go on behind offset --to of PARTITION.

    TOPIC is an event's name, with or without the prefix. The alarm `unreadable` names all three numbers. The consumer
    that stands there leaves a dead letter, goes on within seconds, and commits. Messages of others in the stretch are
    lost to this module: find them in the publisher's log first; its own are sent again. Offsets that can be read are
    not passed over, but for the one message of the alarm `newer_schema` (--from and --to are its offset).
    """
    from deploy.passing import Wish, say_pass  # noqa: PLC0415 - keeps --help quick

    settings = settings_with_schema()
    said = run(say_pass(settings, Wish(topic, partition, first, last, reason, by or os_user())))
    stretch = f"{said['topic']}[{said['partition']}]: offsets {said['from']} to {said['to']}"
    answer(said, [f"{stretch} will be passed over by the consumer that stands before them"], as_json=as_json)
