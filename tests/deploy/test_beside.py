"""Processes of several releases on one database: each says that it runs, and stops where a newer took what it needs."""

from pathlib import Path

import orjson
import pytest

from outbox.schema.steps import revisions
from tests.deploy.commands import payments
from tests.embedded.support import connected
from tests.outbox.test_numbering import to_revision
from tests.outbox.test_releases import later, step_to
from tests.processes import Process, started
from tests.webhooks.gateway import SECRET

pytestmark = pytest.mark.integration

URL = "PAYMENTS_DATABASE_URL"
TOO_NEW = "the schema is at revision 0902 of a newer release, which has taken away what this one"


def roles_that_run(deployment: dict[str, str]) -> list[str]:
    with connected(deployment[URL]) as connection:
        return [str(roles) for (roles,) in connection.execute("SELECT roles FROM process ORDER BY roles").fetchall()]


def test_each_process_says_that_it_runs_until_its_end(tmp_path: Path, deployment: dict[str, str]) -> None:
    hooks = {"PAYMENTS_STRIPE_WEBHOOK_SECRET": SECRET, "PAYMENTS_WEBHOOKS_LISTEN": "127.0.0.1:0"}
    with (
        started(tmp_path, "relay", **deployment) as relay,
        started(tmp_path, "sweep", **deployment) as sweep,
        started(tmp_path, "consume", "OrderConfirmed", **deployment) as consume,
        started(tmp_path, "webhooks", **deployment, **hooks) as webhooks,
    ):
        processes: tuple[Process, ...] = (relay, sweep, consume, webhooks)
        for process in processes:
            process.await_line("running")
        assert roles_that_run(deployment) == ["consume OrderConfirmed", "relay", "sweep", "webhooks"]
        assert [process.stop() for process in (sweep, consume, webhooks)] == [0, 0, 0]
        relay.kill()
        assert roles_that_run(deployment) == ["relay"], "one that is killed leaves its row"


@pytest.mark.parametrize("arguments", [["consume", "all"], ["relay"], ["sweep", "--once"], ["order", "list"]])
def test_a_process_refuses_a_schema_that_lost_what_it_needs(
    tmp_path: Path, deployment: dict[str, str], arguments: list[str]
) -> None:
    step_to(deployment[URL], *later()[:2])
    ran = payments(tmp_path, *arguments, **deployment)
    assert (ran.code, ran.out, TOO_NEW in ran.err, ran.err.count("\n")) == (3, "", True, 1), ran


def test_a_process_runs_on_a_later_schema_that_was_only_expanded(tmp_path: Path, deployment: dict[str, str]) -> None:
    step_to(deployment[URL], later()[0])
    with started(tmp_path, "consume", "all", **deployment) as consume:
        consume.await_line("running")
        assert consume.stop() == 0
    ran = payments(tmp_path, "migrate", **deployment)
    assert (ran.code, "schema: at revision 0901 already, of a newer release" in ran.out) == (0, True), ran


def test_a_process_that_wakes_up_where_a_newer_release_took_what_it_needs_ends_and_says_so(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    with started(tmp_path, "relay", **deployment) as relay:
        relay.await_line("running")
        step_to(deployment[URL], *later()[:2])
        with connected(deployment[URL]) as connection:
            connection.execute("DELETE FROM process")
        assert relay.wait() == 3
        assert "a newer release has taken away what this one" in relay.log
        assert "alarm" not in relay.log, "it is no bug"


def test_migrate_says_what_is_left_for_a_contraction(tmp_path: Path, deployment: dict[str, str]) -> None:
    to_revision(deployment[URL], "0012")
    refused = payments(tmp_path, "migrate", **deployment)
    assert (refused.code, "0013" in refused.err, "payments migrate --contract" in refused.err) == (1, True, True), (
        refused
    )
    done = payments(tmp_path, "migrate", "--contract", "--json", **deployment)
    assert done.code == 0, done
    document = orjson.loads(done.out)
    assert (document["before"], document["revision"], document["to_contract"]) == ("0012", revisions()[-1], [])


def test_only_a_contraction_asks_who_has_ended(tmp_path: Path, deployment: dict[str, str]) -> None:
    ran = payments(tmp_path, "migrate", "--ended", "host-1", **deployment)
    assert (ran.code, "--ended goes with --contract" in ran.err) == (2, True), ran
