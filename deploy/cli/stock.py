"""`payments stock`: the internal inventory."""

import click
from pydantic import TypeAdapter, ValidationError

from deploy.cli.common import answer, json_option, settings_with_schema
from deploy.cli.words import os_user
from deploy.failures import Failure
from deploy.running import run
from deploy.views.tables import table
from outbox.operators.queries import snapshot, stock_list
from schemas.fields import SKU_LENGTH_MAX, SkuText

# More than any shop has; even with what is reserved and sold it fits into a bigint.
QUANTITY_MAX = 10**12
COLUMNS = ("available", "reserved", "sold", "adjusted")


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
        raise click.BadParameter(
            f"a SKU is text of 1 to {SKU_LENGTH_MAX} characters, none of them a control character"
        ) from None


@stock.command("set")
@click.argument("sku", callback=_check_sku)
@click.argument("quantity", type=click.IntRange(0, QUANTITY_MAX))
@json_option
def set_(*, sku: str, quantity: int, as_json: bool) -> None:
    """Have QUANTITY units of SKU free to reserve.

    What is reserved and sold stays as it is. The difference is recorded with your user name.
    """
    from deploy.preparing import set_stock  # noqa: PLC0415 - loads the gateway's client, which `show` does not need
    from outbox.operators.stock import TooManyUnits  # noqa: PLC0415 - as above

    settings = settings_with_schema()
    try:
        (done,) = run(set_stock(settings, {sku: quantity}, os_user()))
    except TooManyUnits as error:
        raise Failure(str(error)) from None
    change = f"{done.delta:+d}" if done.delta else "as it was"
    said = f"{sku}: {done.available} available ({change}), {done.reserved} reserved, {done.sold} sold"
    answer(done._asdict(), [said], as_json=as_json)


@stock.command()
@click.argument("sku", required=False, callback=_check_sku)
@json_option
def show(*, sku: str | None, as_json: bool) -> None:
    """Show the stock of SKU, or of all.

    `adjusted` is the sum of what was put in by hand: it is always available + reserved + sold.
    """
    settings = settings_with_schema()
    with snapshot(settings.sqlalchemy_url()) as connection:
        found = stock_list(connection, sku)
    if sku is not None and not found:
        raise Failure(f"there is no SKU {sku}: `payments stock set {sku} QUANTITY` makes it")
    rows = [(row["sku"], *(str(row[name]) for name in COLUMNS)) for row in found]
    answer({"stock": found}, table(("sku", *COLUMNS), rows, right=frozenset({1, 2, 3, 4})), as_json=as_json)
