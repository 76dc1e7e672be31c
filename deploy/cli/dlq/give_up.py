"""`payments dlq give-up`: a letter is never processed, and its order goes on without it."""

import click

from deploy.cli.common import answer, json_option, settings_with_schema
from deploy.cli.dlq.selecting import left_waiting
from deploy.cli.dlq.show import LetterId
from deploy.cli.words import check_words, os_user
from deploy.failures import ANSWER_IS_NO, Failure
from deploy.running import run
from deploy.views.letters import document, left_lines, place_of
from outbox.operators.letter_list import LETTER, Selection, letter_list
from outbox.operators.queries import snapshot


@click.command("give-up")
@click.argument("letter_id", metavar="ID", type=LetterId())
@click.option("--reason", callback=check_words, required=True, help="Why; it is kept with the letter.")
@click.option("--by", callback=check_words, help="Who says so.  [default: the OS user]")
@json_option
def give_up(*, letter_id: str, reason: str, by: str | None, as_json: bool) -> int:
    """Have letter ID never be processed, so that what waits behind it may go and `redrive --all` passes it by.

    For a letter that cannot be redriven (its payment token is erased, card numbers are masked in it, its consumer is
    gone), or that is not needed.
    What it asked for is not done: have it published again if it is needed. Its order's other letters stay;
    `payments dlq redrive --order` takes them. The exit code is 1 if it was redriven or given up before.
    """
    from deploy import redriving  # noqa: PLC0415 - keeps --help quick

    settings = settings_with_schema()
    with snapshot(settings.sqlalchemy_url()) as connection:
        found = letter_list(connection, Selection(ids=[letter_id]))
    if not found:
        raise Failure(f"there is no letter {letter_id}: `payments dlq list` shows them")
    if found[0]["kind"] != LETTER:
        raise Failure(f"{letter_id} is no letter and has no end but its own: `payments dlq redrive {letter_id}`")
    outcome = run(redriving.give_up(settings, int(letter_id), reason, by=by or os_user()))
    with snapshot(settings.sqlalchemy_url()) as connection:
        (record,) = letter_list(connection, Selection(ids=[letter_id]))
    left = left_waiting(settings, [record])
    letter = document(record, result=outcome.result, done=outcome.done)
    sign = "" if outcome.done else "not given up: "
    said = f"{record['id']}  {place_of(record)}  order {record['order_id'] or '-'}: {sign}{outcome.result}"
    answer({"letters": [letter], "more": False, "left": left}, [said, *left_lines(left)], as_json=as_json)
    return 0 if outcome.done else ANSWER_IS_NO
