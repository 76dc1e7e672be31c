"""Files of libpq that are renewed while a role runs: its next connections use them. Needs Debian's PostgreSQL."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded.ports import HOST
from tests.deploy.commands import payments
from tests.processes import Process, started
from tests.secure.certificates import Authority
from tests.secure.postgres import PASSWORD, Tls, needs_postgres, postgres_with_tls

pytestmark = [pytest.mark.secure, pytest.mark.integration, pytest.mark.timeout(300), needs_postgres]

BACK_S = 120.0
URL = "PAYMENTS_DATABASE_URL"
GRANT = "GRANT app TO byname"


@pytest.fixture
def authority() -> Authority:
    return Authority("our authority")


@pytest.fixture
def server(authority: Authority) -> Iterator[Tls]:
    with tempfile.TemporaryDirectory(prefix="payments-tls-") as name:
        own = authority.issue("postgres", hosts=(HOST,))
        with postgres_with_tls(Path(name) / "on", authority, own) as running:
            yield running


def swept(process: Process, server: Tls, user: str) -> None:
    """Wait until the role is connected, by new connections: what it had was ended."""
    server.hang_up(user)
    process.eventually(lambda: server.users(user) > 0, f"{user} is connected again", BACK_S)


def refused(process: Process, server: Tls, user: str, words: str) -> None:
    """End the role's connections until it gets no other, and its log says why: the server needs a moment to reload."""

    def none_is_left() -> bool:
        server.hang_up(user)
        return words in process.log and server.users(user) == 0

    process.eventually(none_is_left, f"no connection is taken, and the log says {words!r}", BACK_S)


@pytest.fixture
def common(server: Tls, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> dict[str, str]:
    """Migrate and make the topics; give the settings of a sweep that is due often, without its database."""
    given = {
        "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "PAYMENTS_TOPIC_PREFIX": topic_prefix,
        "PAYMENTS_TOPIC_REPLICATION_FACTOR": "1",
        "PAYMENTS_TOPIC_PARTITIONS": "1",
        "PAYMENTS_GATEWAY": "simulated",
        "PAYMENTS_SWEEP_INTERVAL_S": "0.2",
    }
    for command in (("migrate",), ("topics", "create")):
        ran = payments(tmp_path, *command, **given, **{URL: server.url(sslmode="require")})
        assert ran.code == 0, ran.err
    server.root(GRANT)
    return given


def test_a_password_in_a_passfile_that_was_changed_is_read_again(
    server: Tls, authority: Authority, common: dict[str, str], tmp_path: Path
) -> None:
    ca, passfile = authority.write(tmp_path, "ca"), tmp_path / "passfile"

    def write(password: str) -> None:
        passfile.write_text(f"{HOST}:*:payments:app:{password}\n")
        passfile.chmod(0o600)

    write(PASSWORD)
    url = server.url(password="", sslmode="verify-full", sslrootcert=str(ca), passfile=str(passfile))
    with started(tmp_path, "sweep", **common, **{URL: url}) as sweep:
        sweep.await_line("running")
        server.root("ALTER ROLE app PASSWORD 'renewed'")
        refused(sweep, server, "app", "refuses the password")
        write("renewed")
        swept(sweep, server, "app")
        assert sweep.stop() == 0
    assert PASSWORD not in sweep.log


def test_an_authority_of_the_server_that_was_renewed_is_trusted(
    server: Tls, authority: Authority, common: dict[str, str], tmp_path: Path
) -> None:
    ca = authority.write(tmp_path, "ca")
    url = server.url(sslmode="verify-full", sslrootcert=str(ca))
    with started(tmp_path, "sweep", **common, **{URL: url}) as sweep:
        sweep.await_line("running")
        renewed = Authority("renewed authority")
        renewed.issue("postgres", hosts=(HOST,)).write(server.folder, "server")
        server.root("SELECT pg_reload_conf()")
        refused(sweep, server, "app", "nobody issued whom we trust")
        renewed.write(tmp_path, "ca")
        swept(sweep, server, "app")
        assert sweep.stop() == 0


def test_a_certificate_of_ours_that_was_renewed_is_shown(
    server: Tls, authority: Authority, common: dict[str, str], tmp_path: Path
) -> None:
    ca = authority.write(tmp_path, "ca")
    certificate, key = authority.issue("byname").write(tmp_path, "client")
    asked = {"sslmode": "verify-full", "sslrootcert": str(ca), "sslcert": str(certificate), "sslkey": str(key)}
    url = server.url(user="byname", password="", **asked)
    with started(tmp_path, "sweep", **common, **{URL: url}) as sweep:
        sweep.await_line("running")
        renewed = Authority("renewed authority of clients")
        renewed.write(server.folder, "clients-ca")
        server.root("SELECT pg_reload_conf()")
        refused(sweep, server, "byname", "does not trust who issued our certificate")
        renewed.issue("byname").write(tmp_path, "client")
        swept(sweep, server, "byname")
        assert sweep.stop() == 0
