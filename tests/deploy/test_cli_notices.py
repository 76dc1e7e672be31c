"""`payments order close-notices` ends the questions about what cannot be booked."""

from pathlib import Path

import orjson
import pytest

from deploy.running import run
from deploy.settings import load_settings
from deploy.wiring import store_of
from domain.notices import Notice
from domain.order import Status
from domain.ports.store import Change, Changes
from tests.deploy.commands import payments
from tests.domain.builders import AT, captured, order
from tests.embedded.support import connected

pytestmark = pytest.mark.integration


async def kept(places: dict[str, str], directory: Path) -> None:
    """Have a paid order, and two notices about it of which nothing could be booked for two days."""
    known = order(Status.PAID_AND_CONFIRMED, captured())
    async with store_of(load_settings(places, directory=directory)) as store:
        async with store.transaction() as transaction:
            await transaction.load([known.order_id])
            await transaction.save(Changes(orders=[Change(None, known)]))
        await store.notices.keep(
            [Notice(f"evt_{n}", "refund.updated", AT, f"re_{n}", "pi_1", None, None) for n in (1, 2)]
        )
    with connected(places["PAYMENTS_DATABASE_URL"]) as connection:
        connection.execute("UPDATE gateway_notice SET order_id = 'order-1', received_at = now() - interval '2 days'")


def test_what_cannot_be_booked_is_closed_once_and_shown_with_the_order(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    run(kept(deployment, tmp_path))
    close = ("order", "close-notices", "order-1", "--reason", "paid by hand", "--by", "alice")
    done = payments(tmp_path, *close, "--json", **deployment)
    assert done.code == 0, done.err
    document = orjson.loads(done.out)
    assert [(each["notice_id"], each["object_id"]) for each in document["closed"]] == [
        ("evt_1", "re_1"),
        ("evt_2", "re_2"),
    ]
    assert (document["order_id"], document["reason"], document["by"]) == ("order-1", "paid by hand", "alice")
    shown = payments(tmp_path, "order", "show", "order-1", **deployment).out
    assert "notice_kept: closed" in shown
    again = payments(tmp_path, *close, **deployment)
    assert (again.code, again.out) == (1, "")
    assert "no notice that has led nowhere for a day" in again.err
