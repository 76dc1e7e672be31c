import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from deploy.embedded.errors import EmbeddedError, JarRefused
from deploy.embedded.jars import Jar, _download, fetch_jars, kafka_version, listed
from deploy.embedded.ports import free_port

BYTES = b"not really a jar" * 1000
SHA256 = hashlib.sha256(BYTES).hexdigest()


@contextmanager
def repository(served: bytes) -> Iterator[tuple[str, Counter[str]]]:
    """Serve the same bytes for every jar on loopback; yields its address and how often each path was asked for."""
    asked: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked[self.path] += 1
            found = self.path.endswith(".jar")
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(served) if found else 0))
            self.end_headers()
            if found:
                self.wfile.write(served)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the standard library
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_list_names_every_jar_by_hash_and_no_address() -> None:
    jars = listed()
    assert len({jar.file_name for jar in jars}) == len(jars) > 40
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)
    assert kafka_version() == "4.3.1"
    assert not any("/" in f"{jar.group}{jar.artifact}{jar.version}" for jar in jars)


def test_jar_with_another_hash_is_refused_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    jar = Jar("org.example", "thing", "1.0", SHA256)
    (tmp_path / jar.file_name).write_bytes(b"something else")
    with pytest.raises(JarRefused, match=rf"thing-1.0.jar is refused: .*{SHA256}.*Delete that file and start again"):
        fetch_jars(print, store=tmp_path, jars=[jar])


def test_download_with_another_hash_never_reaches_the_store(tmp_path: Path) -> None:
    jar = Jar("org.example", "thing", "1.0", "0" * 64)
    script = fetching(tmp_path / "store", jar)
    with repository(BYTES) as (address, _):
        done = subprocess.run(script, env=home(tmp_path, address), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "JarRefused" in done.stderr
    assert not (tmp_path / "store" / jar.file_name).exists()


def test_processes_that_start_together_download_each_jar_once(tmp_path: Path) -> None:
    jars = [Jar("org.example", f"thing{number}", "1.0", SHA256) for number in range(12)]
    store = tmp_path / "store"
    with repository(BYTES) as (address, asked):
        script, env = fetching(store, *jars), home(tmp_path, address)
        running = [subprocess.Popen(script, env=env) for _ in range(2)]
        assert [process.wait(60) for process in running] == [0, 0]
    assert [count for path, count in asked.items() if path.endswith(".jar")] == [1] * 12
    assert sorted(path.name for path in store.glob("*.jar")) == sorted(jar.file_name for jar in jars)


def test_second_fetch_needs_no_network(tmp_path: Path) -> None:
    jar = Jar("org.example", "thing", "1.0", SHA256)
    (tmp_path / jar.file_name).write_bytes(BYTES)
    assert fetch_jars(pytest.fail, store=tmp_path, jars=[jar]) == [tmp_path / "thing-1.0.jar"]


def test_unreachable_repository_is_named_with_what_to_do(tmp_path: Path) -> None:
    jar = Jar("org.example", "thing", "1.0", SHA256)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(EmbeddedError, match=r"must be reached once\. Check the network and HTTPS_PROXY"):
        _download(jar, tmp_path / "scratch", {"nobody": f"http://127.0.0.1:{free_port()}"})


def fetching(store: Path, *jars: Jar) -> list[str]:
    """Give the command that fetches these jars in a process of its own."""
    imports = "from pathlib import Path\nfrom deploy.embedded.jars import Jar, fetch_jars\n"
    return [sys.executable, "-c", f"{imports}fetch_jars(print, store=Path({str(store)!r}), jars={jars!r})"]


def home(folder: Path, repository_address: str) -> dict[str, str]:
    """Give the environment of a user whose only repository is this one."""
    (folder / ".config").mkdir(exist_ok=True)
    (folder / ".config" / "jgo.conf").write_text(f"[repositories]\nonly = {repository_address}\n")
    inherited = dict(os.environ)  # noqa: TID251 - the child needs what Python itself needs
    return {**inherited, "HOME": str(folder), "NO_PROXY": "127.0.0.1"}
