"""Kafka's jars: listed with hashes in kafka.jars.sha256, downloaded once from Maven Central, verified at every start.

The list was resolved once from org.apache.kafka:kafka_2.13:4.3.1 and org.slf4j:slf4j-simple:1.7.36. It holds no
address, and no POM is read at run time: only the listed bytes can reach the class path. Lists of other versions are
read in the same way.
"""

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import requests
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext

from deploy.embedded.errors import EmbeddedError, JarRefused
from deploy.embedded.files import locked

DOWNLOADS_AT_ONCE = 4
HTTP_TIMEOUT_S = 20
TRIES_MAX = 3
# Folders of downloads in progress. Whoever holds the lock may delete them: their processes were killed.
SCRATCH = ".new-"


@dataclass(frozen=True, slots=True)
class Jar:
    """A jar of the list: its Maven coordinate and the hex sha256 of its bytes."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name it has in the store, the same as Maven's."""
        return f"{self.artifact}-{self.version}.jar"


def read_list(text: str) -> tuple[Jar, ...]:
    """Read a list: a line for each jar, its sha256 and its Maven coordinate, in class path order."""
    rows = ((sha256, *coordinate.split(":")) for sha256, coordinate in (line.split() for line in text.splitlines()))
    return tuple(Jar(group, artifact, version, sha256) for sha256, group, artifact, version in rows)


def listed() -> tuple[Jar, ...]:
    """Read the list of the Kafka that comes with this module."""
    return read_list((files("deploy.embedded") / "kafka.jars.sha256").read_text(encoding="utf-8"))


def kafka_version(jars: Iterable[Jar] = ()) -> str:
    """Return the version of Apache Kafka in a list; without one, in ours."""
    return next((jar.version for jar in tuple(jars) or listed() if jar.artifact.startswith("kafka_")), "of no version")


def default_store(jars: Iterable[Jar] = ()) -> Path:
    """Return the folder of verified jars, in jgo's cache (`~/.cache/jgo`, or as its own settings say)."""
    return Path(GlobalSettings.load().cache_dir) / "payments" / f"kafka-{kafka_version(jars)}"


def fetch_jars(progress: Callable[[str], None], *, store: Path | None = None, jars: Iterable[Jar] = ()) -> list[Path]:
    """Return the verified jars, in class path order; those that are missing are downloaded first (about 45 MB).

    Needs no network once all are there. Processes that start at the same time wait for the one that downloads.
    Raises JarRefused for a jar with another hash, EmbeddedError if a download fails; trying again resumes.
    """
    wanted = tuple(jars) or listed()
    store = store or default_store(wanted)
    store.mkdir(parents=True, exist_ok=True)
    with locked(store / ".lock"):
        missing = [jar for jar in wanted if not (store / jar.file_name).exists()]
        if missing:
            _fetch(missing, store, progress, kafka_version(wanted))
    for jar in wanted:
        _verify(store / jar.file_name, jar)
    return [store / jar.file_name for jar in wanted]


def _verify(path: Path, jar: Jar) -> None:
    found = _hash_of(path)
    if found != jar.sha256:
        raise JarRefused(
            f"{path} is refused: its sha256 is {found}, but kafka.jars.sha256 names {jar.sha256}. "
            "Delete that file and start again; if the same comes back, your repository serves something else: "
            "do not use it, and tell whoever runs it",
        )


def _fetch(missing: list[Jar], store: Path, progress: Callable[[str], None], version: str) -> None:
    for half_done in store.glob(f"{SCRATCH}*"):
        shutil.rmtree(half_done, ignore_errors=True)
    progress(f"fetching Apache Kafka {version}: {len(missing)} jars into {store} (this once)")
    counted, done = threading.Lock(), 0

    def fetch_one(jar: Jar) -> None:
        nonlocal done
        _fetch_one(jar, store)
        with counted:
            done += 1
            if done % 10 == 0 or done == len(missing):
                progress(f"fetching Apache Kafka: {done} of {len(missing)} jars")

    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        downloads = [pool.submit(fetch_one, jar) for jar in missing]
        try:
            for download in downloads:
                download.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_one(jar: Jar, store: Path) -> None:
    """Put a verified jar into the store: from the local Maven repository if it is there, else by download."""
    settings = GlobalSettings.load()
    local = Path(settings.repo_cache, *jar.group.split("."), jar.artifact, jar.version, jar.file_name)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=store) as scratch:
        new = Path(scratch) / "jar"
        if local.is_file():
            shutil.copyfile(local, new)
        if not new.exists() or _hash_of(new) != jar.sha256:
            new = _download(jar, Path(scratch), settings.repositories)
            _verify(new, jar)
        new.replace(store / jar.file_name)


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(jar: Jar, scratch: Path, mirrors: dict[str, str]) -> Path:
    problem: Exception | None = None
    for number in range(TRIES_MAX):
        context = MavenContext(
            repo_cache=scratch / f"try-{number}",
            remote_repos=mirrors or {"central": MAVEN_CENTRAL_URL},
            timeout=HTTP_TIMEOUT_S,
        )
        try:
            return Path(context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve())
        except (requests.RequestException, RuntimeError, ValueError, OSError) as error:
            problem = error
    raise EmbeddedError(
        f"{jar.file_name} cannot be downloaded ({type(problem).__name__}): Maven's central repository must be reached "
        "once. Check the network and HTTPS_PROXY, or name a mirror under [repositories] in ~/.config/jgo.conf, "
        f"or put the jars of kafka.jars.sha256 into {scratch.parent}; then start again, and it goes on from here",
    ) from problem
