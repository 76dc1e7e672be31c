import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded import EmbeddedServers, kept_port
from deploy.embedded.errors import DirectoryInUse, EmbeddedError
from deploy.embedded.files import write_whole
from deploy.embedded.guard import end_all
from deploy.embedded.process import Command, ServerProcess
from tests.embedded.support import answering, connected, lives, parent, publish, published, state_of
from tests.eventually import eventually

pytestmark = [pytest.mark.integration, pytest.mark.kill]


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """Give a data directory; whatever a failed test left running on it is ended."""
    yield tmp_path / "data"
    end_all(tmp_path / "data")


async def test_kafka_keeps_acknowledged_records_and_its_port_over_a_sigkill(own_servers: EmbeddedServers) -> None:
    await publish(own_servers.kafka_bootstrap, "Survives", b"acknowledged")
    pid, bootstrap = own_servers.kafka.pid, own_servers.kafka_bootstrap
    own_servers.kafka.kill()
    assert answering(own_servers) == {"kafka": False, "postgresql": True}
    own_servers.kafka.start()
    assert await published(bootstrap, "Survives") == b"acknowledged"
    assert own_servers.kafka.pid not in {pid, None}


def test_postgresql_keeps_committed_rows_and_its_port_over_sigkill_and_immediate_stop(
    own_servers: EmbeddedServers,
) -> None:
    url = own_servers.database_url
    with connected(url) as connection:
        connection.execute("create table survives (turn int)")
        connection.execute("insert into survives values (1)")
    own_servers.postgres.kill()
    own_servers.postgres.start()
    with connected(url) as connection:
        connection.execute("insert into survives values (2)")
    own_servers.postgres.stop(immediate=True)
    assert answering(own_servers) == {"kafka": True, "postgresql": False}
    own_servers.postgres.start()
    with connected(url) as connection:
        assert connection.execute("select turn from survives order by 1").fetchall() == [(1,), (2,)]
        settings = "select name, setting from pg_settings where name = any(%s)"
        durable = ["fsync", "full_page_writes", "synchronous_commit"]
        assert dict(connection.execute(settings, [durable]).fetchall()) == dict.fromkeys(durable, "on")


def test_second_owner_of_a_directory_is_refused_and_disturbs_nothing(own_servers: EmbeddedServers) -> None:
    second = EmbeddedServers(own_servers.data_dir, progress=print)
    with pytest.raises(DirectoryInUse, match=rf"in use by the embedded run with pid {os.getpid()}: .*--data"):
        second.start()
    second.stop()
    assert answering(own_servers) == {"kafka": True, "postgresql": True}


def test_servers_are_out_of_reach_of_the_terminals_ctrl_c(own_servers: EmbeddedServers) -> None:
    for pid in (own_servers.kafka.pid, own_servers.postgres.pid):
        assert pid is not None
        assert os.getsid(pid) == pid


RUN = """
    import sys, threading
    from pathlib import Path
    from deploy.embedded import EmbeddedRun, EmbeddedServers
    from deploy.running import Stopping
    stop = threading.Event()
    servers = EmbeddedServers(Path(sys.argv[1]), progress=print, fast=True)
    with Stopping(stop.set), EmbeddedRun(servers, progress=print):
        stop.wait()
"""


def test_what_a_sigkilled_parent_left_is_adopted_and_a_sigterm_ends_it(data: Path) -> None:
    with parent(RUN, str(data)) as killed:
        eventually(lambda: state_of(data), "state.json is there")
        before = state_of(data)
        killed.kill()
        killed.wait()
    assert [lives(before[name]["pid"]) for name in ("kafka", "postgresql")] == [True, True]
    (data / "state.json").unlink()
    with parent(RUN, str(data)) as ended:
        eventually(lambda: state_of(data), "state.json is there again")
        assert state_of(data) == before
        ended.terminate()
        assert ended.wait(30) == 0
    assert [lives(before[name]["pid"]) for name in ("kafka", "postgresql")] == [False, False]
    assert not (data / "env").exists()


def test_parent_that_ends_without_stopping_leaves_nothing_running(data: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from deploy.embedded import EmbeddedServers, kept_port
        servers = EmbeddedServers(Path(sys.argv[1]), progress=lambda line: None, fast=True).start()
        Path(sys.argv[1], "pids").write_text(f"{servers.kafka.pid} {servers.postgres.pid}")
    """
    with parent(code, str(data)) as ended:
        assert ended.wait(60) == 0
    assert [lives(int(pid)) for pid in (data / "pids").read_text().split()] == [False, False]


def test_temporary_servers_and_their_folder_go_with_a_sigkilled_parent(data: Path) -> None:
    code = """
        import sys, threading
        from pathlib import Path
        from deploy.embedded import temporary_servers
        with temporary_servers(progress=print) as servers:
            servers.postgres.start()
            Path(sys.argv[1]).write_text(f"{servers.postgres.pid} {servers.data_dir}")
            threading.Event().wait()
    """
    data.mkdir()
    note = data / "note"
    with parent(code, str(note)) as killed:
        eventually(lambda: note.exists() and note.read_text(), "the servers run")
        pid, folder = note.read_text().split()
        killed.kill()
        killed.wait()
    eventually(lambda: not lives(int(pid)), "PostgreSQL is gone")
    eventually(lambda: not Path(folder).exists(), "the folder is gone")


def test_stranger_with_a_recorded_pid_is_never_touched(tmp_path: Path) -> None:
    command = Command(argv=("server", "--data", str(tmp_path)), cwd=tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        record = {"pid": stranger.pid, "created_s": 1e9, "pid_file": str(tmp_path / "server.pid")}
        write_whole(tmp_path / "server.pid", json.dumps(record))
        process = ServerProcess("server", pid_file=tmp_path / "server.pid", log=tmp_path / "server.log")
        assert not process.adopt(command)
        process.kill()
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_copy_of_a_live_directory_has_no_claim_to_its_servers(tmp_path: Path) -> None:
    command = Command(argv=(sys.executable, "-c", "import signal; signal.pause()"), cwd=tmp_path)
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    running = ServerProcess("server", pid_file=original / "server.pid", log=original / "server.log")
    running.spawn(command)
    try:
        shutil.copytree(original, copy)
        impostor = ServerProcess("server", pid_file=copy / "server.pid", log=copy / "server.log")
        assert not impostor.adopt(Command(argv=("server", "--data", str(copy)), cwd=copy))
        impostor.kill()
        assert running.alive()
    finally:
        running.kill()


def test_lost_passwords_are_reported_and_not_replaced(data: Path) -> None:
    (data / "postgres" / "data").mkdir(parents=True)
    with pytest.raises(EmbeddedError, match=r"postgres.passwords.json is gone.*bring it back"):
        EmbeddedServers(data, progress=print)


def test_port_that_another_program_took_is_named(data: Path) -> None:
    with socket.create_server(("127.0.0.1", kept_port(data, "postgresql"))) as squatter:
        message = rf"port {squatter.getsockname()[1]} of PostgreSQL is in use by another program: stop that, or delete"
        with pytest.raises(EmbeddedError, match=message):
            EmbeddedServers(data, progress=print, fast=True).postgres.start()


def test_start_that_fails_says_how_the_log_ends(tmp_path: Path) -> None:
    process = ServerProcess("broken", pid_file=tmp_path / "broken.pid", log=tmp_path / "broken.log")
    process.spawn(Command(argv=(sys.executable, "-c", "raise SystemExit('no disk left')"), cwd=tmp_path))
    with pytest.raises(EmbeddedError, match=r"broken ended while starting; its log, .*broken.log, ends with:\nno disk"):
        process.wait_until(lambda: False, 30)
