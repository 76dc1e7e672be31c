import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deploy.embedded import (
    DirectoryInUse,
    EmbeddedError,
    EmbeddedRun,
    EmbeddedServers,
    ManagedProcess,
    Supervisor,
    kept_port,
)
from deploy.embedded.guard import end_all
from tests.embedded.support import connected, lives, publish, state_of
from tests.eventually import eventually

pytestmark = [pytest.mark.integration, pytest.mark.kill]


class Run:
    """An embedded run in a thread, with a web server in the sandbox's place."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.lines: list[str] = []
        self.stop = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def join(self) -> None:
        self.stop.set()
        self._thread.join()

    def pid(self, name: str) -> int | None:
        pid = state_of(self.data).get(name, {}).get("pid")
        return None if pid is None else int(pid)

    def _run(self) -> None:
        try:
            with EmbeddedRun(
                EmbeddedServers(self.data, progress=self.lines.append, fast=True),
                progress=self.lines.append,
                extra=[web_server(self.data, self.lines)],
                settings={"PAYMENTS_GATEWAY": "sandbox"},
            ):
                self.stop.wait()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error


class WebServer(ManagedProcess):
    ADOPT_S = 0.1


def web_server(data: Path, lines: list[str]) -> ManagedProcess:
    port = kept_port(data, "sandbox")
    return WebServer(
        "sandbox",
        data,
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(data / "kafka")],
        health_url=f"http://127.0.0.1:{port}/",
        port=port,
        version="1",
        progress=lines.append,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    data = tmp_path_factory.mktemp("embedded") / "data"
    running = Run(data)
    try:
        eventually(lambda: state_of(data) or running.error, "state.json is there")
        assert running.error is None
        yield running
    finally:
        running.join()
        end_all(data)


async def test_env_leads_to_both_servers_and_is_for_its_owner_only(run: Run) -> None:
    lines = (run.data / "env").read_text().splitlines()
    env = dict(line.split("=", 1) for line in lines)
    assert env.keys() == {
        "PAYMENTS_DATABASE_URL",
        "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS",
        "PAYMENTS_TOPIC_REPLICATION_FACTOR",
        "PAYMENTS_GATEWAY",
    }
    assert env["PAYMENTS_TOPIC_REPLICATION_FACTOR"] == "1"
    assert stat.S_IMODE((run.data / "env").stat().st_mode) == 0o600
    with connected(env["PAYMENTS_DATABASE_URL"]) as connection:
        assert connection.execute("select current_user, current_database()").fetchone() == ("payments", "payments")
    await publish(env["PAYMENTS_KAFKA_BOOTSTRAP_SERVERS"], "Reached", b"1")


def test_state_names_pid_address_and_version_of_each(run: Run) -> None:
    state = state_of(run.data)
    assert state.keys() == {"kafka", "postgresql", "sandbox"}
    assert all(lives(server["pid"]) for server in state.values())
    assert state["kafka"]["version"] == "4.3.1"
    assert state["postgresql"]["version"].startswith("18.")
    assert all(server["address"].startswith("127.0.0.1:") for server in state.values())


def test_database_refuses_whoever_lacks_the_password(run: Run) -> None:
    host, port = state_of(run.data)["postgresql"]["address"].split(":")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=host, port=port, user="postgres", password="wrong", dbname="postgres").close()


@pytest.mark.parametrize("name", ["sandbox", "postgresql", "kafka"])
def test_server_that_died_is_started_again_where_it_was(run: Run, name: str) -> None:
    before = state_of(run.data)
    os.kill(before[name]["pid"], signal.SIGKILL)
    eventually(lambda: run.pid(name) not in {None, before[name]["pid"]}, f"{name} runs again")
    after = state_of(run.data)
    assert lives(after[name]["pid"])
    assert {**after, name: {**after[name], "pid": before[name]["pid"]}} == before
    assert any(line.startswith(f"{name} died; starting it again") for line in run.lines)


def test_second_run_on_the_directory_is_refused_and_leaves_the_files_of_the_first(run: Run) -> None:
    before = state_of(run.data)
    second = EmbeddedRun(EmbeddedServers(run.data, progress=print), progress=print)
    with pytest.raises(DirectoryInUse), second:
        pass
    assert state_of(run.data) == before
    assert (run.data / "env").exists()


def test_leftover_that_does_not_answer_is_stopped_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    lines: list[str] = []
    first, second = web_server(tmp_path, lines), web_server(tmp_path, lines)
    try:
        first.start()
        hung = first.pid
        assert hung is not None
        os.kill(hung, signal.SIGSTOP)
        second.start()
        assert second.pid not in {hung, None}
        assert not first.alive()
    finally:
        first.kill()
        second.kill()
    assert lines == ["a sandbox that was left behind did not answer and was stopped"]


class Doomed:
    """A server that can never be started; it notes when that was tried, and has the watch end after three times."""

    name, version, address, pid = "doomed", "1", "127.0.0.1:1", None

    def __init__(self, stop: threading.Event) -> None:
        self.tried_at_s: list[float] = []
        self._stop = stop

    def start(self) -> None:
        self.tried_at_s.append(time.monotonic())
        if len(self.tried_at_s) == 3:
            self._stop.set()
        raise EmbeddedError("no disk left")

    def stop(self, *, immediate: bool = False) -> None:
        return

    def alive(self) -> bool:
        return False


def test_server_that_cannot_be_started_is_tried_ever_more_rarely() -> None:
    stop, lines = threading.Event(), list[str]()
    doomed = Doomed(stop)
    Supervisor([doomed], lines.append).watch(stop)
    first, second, third = doomed.tried_at_s
    assert second - first >= 0.5
    assert third - second >= 1
    assert "doomed cannot be started again: no disk left" in lines
