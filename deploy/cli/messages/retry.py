"""`payments messages retry`: messages that were given up are sent after all."""

from uuid import UUID

import click

from deploy.cli.common import answer, json_option, say, settings_with_schema
from deploy.cli.words import check_words, os_user
from deploy.failures import ANSWER_IS_NO, Failure
from deploy.running import run
from deploy.settings import Settings
from deploy.views.messages import document
from domain.rules import Rules
from outbox.driver.conninfo import connect
from outbox.operators.messages import Wanted, message_list, retry_messages
from outbox.operators.queries import Record, snapshot

SHOWN_MAX = 1_000


@click.command()
@click.argument("ids", nargs=-1, type=click.UUID, metavar="[ID]...")
@click.option("--all-given-up", "every", is_flag=True, help="All messages that were given up.")
@click.option("--reason", callback=check_words, required=True, help="Why; it is kept with the message.")
@click.option("--by", callback=check_words, help="Who says so.  [default: the OS user]")
@json_option
def retry(*, ids: tuple[UUID, ...], every: bool, reason: str, by: str | None, as_json: bool) -> int:
    """Have messages sent that were given up, or that went stale while they waited.

    ID is the event_id that `payments messages list` shows. The sweep sends them; they are fresh again for a day. A
    message that was sent is never sent again. The exit code is 1 if one of the IDs is not tried again.
    """
    if bool(ids) == every:
        raise click.UsageError("say IDs, or --all-given-up; not both")
    settings = settings_with_schema()
    if settings.notifier == "log":
        say("PAYMENTS_NOTIFIER is log here: a sweep with smtp or webhook must run to send them")
    if not every:
        _check_known(settings, ids)
    again = run(_retry(settings, None if every else ids, reason, by or os_user()))
    records = _read(settings, sorted(again)[:SHOWN_MAX] if every else ids)
    not_again = [record for record in records if record["event_id"] not in again]
    lines = [_line(record, again) for record in records]
    found = {
        "messages": [document(record, retried=record["event_id"] in again) for record in records],
        "more": every and len(again) > SHOWN_MAX,
    }
    answer(found, lines, as_json=as_json)
    say(f"{len(again)} tried again, {len(not_again)} not")
    return ANSWER_IS_NO if not_again else 0


async def _retry(settings: Settings, ids: tuple[UUID, ...] | None, reason: str, by: str) -> set[UUID]:
    async with await connect(settings.psycopg_url(), name="payments messages", autocommit=True) as connection:
        return await retry_messages(connection, ids, reason, by, Rules().notification_max_age_s)


def _read(settings: Settings, ids: "tuple[UUID, ...] | list[UUID]") -> list[Record]:
    with snapshot(settings.sqlalchemy_url()) as connection:
        return message_list(connection, Wanted(event_ids=ids), None)


def _check_known(settings: Settings, ids: tuple[UUID, ...]) -> None:
    missing = set(ids) - {record["event_id"] for record in _read(settings, ids)}
    if missing:
        names = ", ".join(sorted(map(str, missing)))
        raise Failure(f"there is no message {names}; nothing was tried again: see `payments messages list`")


def _line(record: Record, again: set[UUID]) -> str:
    done = record["event_id"] in again
    said = "will be sent" if done else f"not tried again: it is {record['state']}"
    return f"{record['event_id']}  order {record['order_id']}  {record['kind']}: {said}"
