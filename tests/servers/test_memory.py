from pathlib import Path

import psutil

from deploy.embedded import temporary_servers
from tests.servers.memory import in_memory


def test_a_folder_on_a_disk_is_not_taken_for_memory(tmp_path: Path) -> None:
    assert in_memory(tmp_path) is None


def test_without_enough_free_memory_a_disk_serves() -> None:
    assert in_memory(free_bytes=psutil.virtual_memory().total + 1) is None


def test_servers_lie_in_the_folder_that_is_named_and_leave_nothing_there(tmp_path: Path) -> None:
    with temporary_servers(progress=print, parent=tmp_path) as servers:
        assert servers.data_dir.parent == tmp_path.resolve()
    assert list(tmp_path.iterdir()) == []
