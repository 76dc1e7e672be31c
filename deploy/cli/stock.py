"""`payments stock`: the internal inventory."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click
from pydantic import TypeAdapter, ValidationError

from deploy.cli.common import answer, json_option, say, seldom, settings_for_command, settings_with_schema
from deploy.cli.words import os_user
from deploy.failures import WRONG_USAGE, Failure
from deploy.running import run
from deploy.stock_file import (
    QUANTITY_MAX,
    REASON_RULE,
    SKU_RULE,
    BadLine,
    is_reason,
    read_stock_file,
)
from deploy.views.tables import table
from outbox.operators.queries import adjustment_list, snapshot, stock_list
from outbox.operators.stock import StockChange, StockRefused, StockSet
from schemas.fields import SkuText
from schemas.texts import counted

if TYPE_CHECKING:
    from deploy.settings import Settings

COLUMNS: Final = ("available", "reserved", "sold", "adjusted")
LINES_SHOWN_MAX: Final = 20
ADJUSTMENTS_SHOWN: Final = 20


@click.group()
def stock() -> None:
    """Keep the internal inventory."""


def _check_sku(_: click.Context, __: click.Parameter, sku: str | None) -> str | None:
    """Check that an order could name this SKU."""
    if sku is None:
        return None
    try:
        return TypeAdapter(SkuText).validate_python(sku)
    except ValidationError:
        raise click.BadParameter(SKU_RULE) from None


def _check_reason(_: click.Context, __: click.Parameter, reason: str | None) -> str | None:
    if reason is not None and not is_reason(reason):
        raise click.BadParameter(REASON_RULE)
    return reason


@stock.command("set")
@click.argument("sku", callback=_check_sku)
@click.argument("quantity", type=click.IntRange(0, QUANTITY_MAX))
@click.option("--reason", callback=_check_reason, help="Why, for the record.")
@json_option
def set_(*, sku: str, quantity: int, reason: str | None, as_json: bool) -> None:
    """Have QUANTITY units of SKU free to reserve.

    What is reserved and sold stays as it is. The difference is recorded with your user name.
    """
    _change_one(StockChange(sku, quantity, reason=reason), as_json=as_json)


# A negative DELTA looks like an option, and is none.
@stock.command(context_settings={"ignore_unknown_options": True})
@click.argument("sku", callback=_check_sku)
@click.argument("delta", type=click.IntRange(-QUANTITY_MAX, QUANTITY_MAX))
@click.option("--reason", required=True, callback=_check_reason, help="Why, for the record.")
@json_option
def adjust(*, sku: str, delta: int, reason: str, as_json: bool) -> None:
    """Put DELTA units into SKU, or, if it is negative, take them out.

    Only units that are free can be taken out. The change is recorded with your user name and the reason.
    """
    _change_one(StockChange(sku, delta, relative=True, reason=reason), as_json=as_json)


@stock.command("import", short_help="Change many SKUs by a file, all or nothing.")
@click.argument("file", type=click.File("rb"))
@click.option("--reason", callback=_check_reason, help="Why, for the record, where a line has none.")
@json_option
def import_(*, file: BinaryIO, reason: str | None, as_json: bool) -> None:
    """Change the stock of many SKUs by FILE (or -): all of it, or nothing.

    FILE is CSV (its first line names the columns) or JSON lines. A line has `sku`, and `quantity` (have so many units
    free to reserve) or `delta` (put so many in, or take them out), and perhaps `reason`. If a line is wrong, its number
    and what is wrong go to stderr, nothing is changed, and the exit code is 1. To import the same quantities again
    changes nothing.

    In CSV, for example, `sku,quantity` and then `TEA-EARL-GREY,10` and `MUG-BLUE,3`, each on a line of its own.
    """
    settings = _settings_to_change()
    found = read_stock_file(file)
    if found.bad:
        _refuse(found.bad)
    changes = [change._replace(reason=change.reason or reason) for change in found.changes]
    try:
        done = _change(settings, changes)
    except StockRefused as refused:
        _refuse([BadLine(found.numbers[number], problem) for number, problem in refused.problems.items()])
    changed = [one for one in done if one.delta]
    put, taken = sum(max(one.delta, 0) for one in changed), sum(max(-one.delta, 0) for one in changed)
    document = {"skus": len(done), "changed": len(changed), "units_in": put, "units_out": taken}
    said = f"{counted(len(done), 'SKU')} read, {len(changed)} changed: {counted(put, 'unit')} put in, {taken} taken out"
    answer(document, [said], as_json=as_json)


@stock.command()
@click.argument("sku", required=False, callback=_check_sku)
@json_option
def show(*, sku: str | None, as_json: bool) -> None:
    """Show the stock of SKU with its last adjustments, or the stock of all.

    `adjusted` is the sum of what was put in by hand: it is always available + reserved + sold.
    """
    settings = settings_with_schema(changes=False)
    with snapshot(settings.sqlalchemy_url()) as connection:
        found = stock_list(connection, sku)
        adjustments = [] if sku is None else adjustment_list(connection, sku, ADJUSTMENTS_SHOWN)
    if sku is not None and not found:
        if settings.inventory != "internal":
            where = f"PAYMENTS_INVENTORY={settings.inventory}: the stock is in another system"
            raise Failure(f"there is no SKU {sku} in the internal stock, and {where}; look there")
        raise Failure(f"there is no SKU {sku}: `payments stock set {sku} QUANTITY` makes it")
    rows = [(row["sku"], *(str(row[name]) for name in COLUMNS)) for row in found]
    lines = table(("sku", *COLUMNS), rows, right=frozenset({1, 2, 3, 4}))
    document: dict[str, Any] = {"stock": found}
    if sku is not None:
        document["adjustments"] = adjustments
        lines += ["", *_adjustment_lines(adjustments)]
    answer(document, lines, as_json=as_json)


def _adjustment_lines(adjustments: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        (f"{row['adjusted_at']:%Y-%m-%d %H:%M:%S}", f"{row['delta']:+d}", row["by"], row["reason"] or "")
        for row in adjustments
    ]
    return table(("adjusted (UTC)", "units", "by", "reason"), rows, right=frozenset({1}))


def _change_one(change: StockChange, *, as_json: bool) -> None:
    try:
        (done,) = _change(_settings_to_change(), [change])
    except StockRefused as error:
        raise Failure(str(error)) from None
    changed = f"{done.delta:+d}" if done.delta else "as it was"
    said = f"{done.sku}: {done.available} available ({changed}), {done.reserved} reserved, {done.sold} sold"
    answer(done._asdict(), [said], as_json=as_json)


def _settings_to_change() -> "Settings":
    """Read the settings. Raises Failure if the stock is in another system: a change here would have no effect."""
    settings = settings_for_command()
    if settings.inventory != "internal":
        raise Failure(
            f"PAYMENTS_INVENTORY={settings.inventory}: the stock is in another system; change it there, the inventory "
            "sandbox's with PUT PAYMENTS_INVENTORY_URL/inventory/stock/SKU",
            WRONG_USAGE,
        )
    return settings_with_schema()


def _change(settings: "Settings", changes: Sequence[StockChange]) -> list[StockSet]:
    from deploy.preparing import change_stocks  # noqa: PLC0415 - loads the gateway's client, which `show` does not need

    told, in_all = seldom(say), counted(len(changes), "SKU")
    return run(change_stocks(settings, changes, os_user(), lambda made: told(f"{made} of {in_all} changed so far")))


def _refuse(bad: Sequence[BadLine]) -> None:
    for line in bad[:LINES_SHOWN_MAX]:
        say(f"line {line.number}: {line.problem}; nothing was changed")
    if len(bad) > LINES_SHOWN_MAX:
        say(f"and {counted(len(bad) - LINES_SHOWN_MAX, 'more line is', 'more lines are')} wrong")
    raise click.exceptions.Exit(1)
