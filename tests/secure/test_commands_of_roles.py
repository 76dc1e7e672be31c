"""Every command of operators under the roles of deploy/roles.sql: it works, or says which role it needs."""

import json
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.commands import Ran, payments
from tests.deploy.orders import confirmed, publish, status_of
from tests.embedded.support import connected
from tests.eventually import eventually
from tests.processes import started
from tests.secure.database_roles import APP, MIGRATOR, READER, RELAY, RESTORER, URL

pytestmark = [pytest.mark.secure, pytest.mark.integration, pytest.mark.timeout(300)]

PAID = ("A-1", "A-2")
READS: Final[tuple[tuple[str, ...], ...]] = (
    ("order", "show", "A-1"),
    ("order", "list"),
    ("dlq", "list"),
    ("dlq", "show", "1"),
    ("messages", "list"),
    ("stock", "show", "tea"),
    ("offsets", "show"),
    ("audit",),
    ("replay", "PaidAndConfirmed", "--format", "jsonl", "--out", "replayed"),
)
OF_APP: Final[tuple[tuple[str, ...], ...]] = (
    # It changes nothing, but searches payment tokens for card numbers, and a reader sees no tokens.
    ("audit", "--topics"),
    ("stock", "set", "tea", "7"),
    ("stock", "adjust", "tea", "-1", "--reason", "broken"),
    ("order", "cancel", "A-1", "--reason", "changed my mind"),
    ("order", "refund", "A-2", "--amount", "100", "--reason", "late"),
    ("messages", "retry", "--all-given-up", "--reason", "again"),
    ("dlq", "give-up", "2", "--reason", "a test"),
)
REDRIVE = ("dlq", "redrive", "1")
"""What is wrong with the letter has not changed: it is refused again, and the exit code is 1."""
REPUBLISH = ("journal", "republish", "PaidAndConfirmed", "--since", "2020-01-01T00:00:00Z", "--force")


@pytest.fixture
def settings(kafka_bootstrap: str, topic_prefix: str) -> dict[str, str]:
    return {
        "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "PAYMENTS_TOPIC_PREFIX": topic_prefix,
        "PAYMENTS_TOPIC_REPLICATION_FACTOR": "1",
        "PAYMENTS_TOPIC_PARTITIONS": "1",
        "PAYMENTS_GATEWAY": "simulated",
        "PAYMENTS_SIMULATED_LATENCY_MS": "0",
    }


@pytest.fixture
def urls(roles: dict[str, str], settings: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Have two paid orders and two dead letters, made by processes in their roles; give the URL of each role."""
    app = {**settings, URL: roles[APP]}
    for arguments in (("topics", "create"), ("stock", "set", "tea", "50")):
        assert payments(tmp_path, *arguments, **app).code == 0
    with (
        started(tmp_path, "consume", "all", **app) as consume,
        started(tmp_path, "relay", **settings, **{URL: roles[RELAY]}) as relay,
    ):
        publish(tmp_path, app, *map(confirmed, PAID))
        wrong = [json.dumps({**confirmed(f"W-{number}"), "total_minor": 1}) for number in range(2)]
        ran = payments(tmp_path, "publish", "-", "--unchecked", stdin="\n".join(wrong), **app)
        assert ran.code == 0, ran.err
        eventually(lambda: all(status_of(app, one) == "paid_and_confirmed" for one in PAID), "the orders are paid")
        eventually(lambda: letters(roles[APP]) == 2, "two dead letters")
        eventually(lambda: waiting(roles[APP]) == 0, "all is sent")
        assert (consume.stop(), relay.stop()) == (0, 0)
    return roles


def letters(url: str) -> int:
    return number_of(url, "SELECT count(*) FROM dead_letter")


def waiting(url: str) -> int:
    return number_of(url, "SELECT count(*) FROM outbox")


def number_of(url: str, query: str) -> int:
    with connected(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def told(ran: Ran, role: str) -> str:
    """Return what is wrong with a refusal: one line must name the role, and the exit code be 3."""
    lines = [line for line in ran.err.splitlines() if line.startswith("payments: ")]
    right = ran.code == 3 and len(lines) == 1 and role in lines[0] and "Traceback" not in ran.err
    return "" if right else f"{ran.code} {ran.err}{ran.out}"


def test_each_command_works_or_names_the_role_that_it_needs(
    urls: dict[str, str], settings: dict[str, str], tmp_path: Path
) -> None:
    reader, app, restorer = ({**settings, URL: urls[role]} for role in (READER, APP, RESTORER))
    found: dict[tuple[str, ...], str] = {}
    for command in READS:
        for role in (reader, app):
            ran = payments(tmp_path, *command, **role)
            if ran.code != 0:
                found[command] = f"{ran.code} {ran.err}{ran.out}"
    for command in (*OF_APP, REDRIVE):
        found[command] = told(payments(tmp_path, *command, **reader), APP)
        ran = payments(tmp_path, *command, **app)
        if (ran.code, "refused again" in ran.out) != ((1, True) if command == REDRIVE else (0, False)):
            found[command] += f"{ran.code} {ran.err}{ran.out}"
    for role in (reader, app):
        found[REPUBLISH] = found.get(REPUBLISH, "") + told(payments(tmp_path, *REPUBLISH, **role), RESTORER)
    before = waiting(urls[APP])
    ran = payments(tmp_path, *REPUBLISH, **restorer)
    if ran.code != 0 or waiting(urls[APP]) != before + 1:
        found[REPUBLISH] += f"{ran.code} {ran.err}{ran.out}"
    assert not (wrong := [f"{' '.join(command)}: {said}" for command, said in found.items() if said]), "\n".join(wrong)


def test_migrate_and_the_roles_as_processes_name_what_the_user_lacks(
    urls: dict[str, str], settings: dict[str, str], tmp_path: Path
) -> None:
    with connected(urls[MIGRATOR]) as connection:
        head = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        connection.execute("UPDATE alembic_version SET version_num = '0016'")
    assert told(payments(tmp_path, "migrate", **settings, **{URL: urls[APP]}), MIGRATOR) == ""
    with connected(urls[MIGRATOR]) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", head)
    ran = payments(tmp_path, "relay", "--once", **settings, **{URL: urls[READER]})
    assert (ran.code, "UPDATE on outbox" in ran.err) == (3, True), ran.err
    ran = payments(tmp_path, "sweep", "--once", **settings, **{URL: urls[READER]})
    assert (ran.code, "INSERT on" in ran.err) == (3, True), ran.err
