"""`payments reconcile`: our operations beside the gateway's lists, or our holds beside the inventory's."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

from deploy.auditing import SINCE, run_reconcile, run_reconcile_goods
from deploy.cli.common import answer, json_option, say, seldom, settings_with_schema
from deploy.failures import ANSWER_IS_NO
from deploy.running import now, run
from deploy.views.goods_text import goods_lines
from deploy.views.reconcile_text import reconcile_lines

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN: Final = re.compile(r"(\d{1,6})([mhdw])")
_EARLIEST: Final = datetime(2011, 1, 1, tzinfo=UTC)  # Stripe has nothing from before


class Since(click.ParamType):  # type: ignore[type-arg]
    """A time as ISO 8601 (UTC unless it says otherwise), or how long ago: 90m, 36h, 2d, 4w. Never in the future."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time, at 2011 the earliest."""
        text, at = str(value), now()
        if span := _SPAN.fullmatch(text):
            return max(_EARLIEST, at - min(timedelta(**{_UNITS[span[2]]: int(span[1])}), at - _EARLIEST))
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is neither a time such as 2026-03-01T12:00 nor a duration such as 2d", param, ctx)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if moment > at:
            self.fail(f"{text} is in the future", param, ctx)
        return max(_EARLIEST, moment)


@click.command()
@click.option(
    "--since",
    type=Since(),
    metavar="T",
    help=f"Compare from T on: ISO 8601 (UTC), or how long ago (90m, 36h, 2d). Without it: {SINCE.days}d; holds: all.",
)
@click.option("--inventory", is_flag=True, help="Compare goods instead of money.")
@json_option
def reconcile(*, since: datetime | None, inventory: bool, as_json: bool) -> int:
    """Compare our books with the gateway's lists of payments, refunds and disputes, both ways, to the minor unit.

    The lists begin 31 days before T, for payments are captured and refunded late. Orders that somebody works on are
    not judged. Payments without our metadata are counted apart. Nothing is changed, here or there. The exit code is 1
    if the two differ.

    With --inventory, our holds of goods are compared with those of the external inventory, both ways: what is held,
    sold and put back, line by line. The internal inventory's stock is compared with what was put in and with the holds.
    """
    settings = settings_with_schema(changes=False)
    if inventory:
        goods = run(run_reconcile_goods(settings, since, seldom(say)))
        answer(goods.as_json(), goods_lines(goods), as_json=as_json, tell=click.echo)
        return 0 if goods.same else ANSWER_IS_NO
    found = run(run_reconcile(settings, since or now() - SINCE, seldom(say)))
    answer(found.as_json(), reconcile_lines(found), as_json=as_json, tell=click.echo)
    return 0 if found.same else ANSWER_IS_NO
