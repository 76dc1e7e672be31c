"""What a test starts ends with it, also what its process has started."""

from pathlib import Path

import psutil
import pytest

from deploy.embedded.guard import has_ended
from tests import processes
from tests.eventually import eventually


def test_servers_of_a_process_that_is_killed_on_leaving_end_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "COMMAND", "/bin/sh")
    with processes.started(tmp_path, "-c", "sleep 60 & echo $!; wait") as process:
        process.eventually(lambda: process.out.endswith("\n"), "its server runs")
        server = psutil.Process(int(process.out))
        assert server.is_running()

    eventually(lambda: has_ended(server), "its server has ended", 10)
