"""The folder that an image is built from: Dockerfile and wheels, all from the lock with their hashes.

They are downloaded here, not in the build: so a build needs no network, and takes what the lock names.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import requires
from pathlib import Path
from typing import Final, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.image.missing import Missing

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / ".payments" / "image"
DOCKERFILE: Final = ROOT / "deploy" / "image" / "Dockerfile"
LOCK: Final = ROOT / "requirements.lock"
TOOLS_LOCK: Final = Path(__file__).parent / "requirements.lock"
PROJECT: Final = "payments"
EXTRAS: Final = ("traces",)
"""Extras that an image has, because no process can install one there; together some 5 MB."""
PLAY: Final = ("starlette", "uvicorn", "aiosmtpd", "rich", "psutil")
"""What gateway sandbox and demo need besides. The servers of the extra `embedded` are images of their own there."""
PIP_S: Final = 600.0
GLIBC_OLDEST: Final = 5


class Target(NamedTuple):
    """The Python of a base image. version: as 3.13.1. machine: as x86_64. glibc: the minor number, 36 for 2.36."""

    version: str
    machine: str
    glibc: int

    @property
    def minor(self) -> str:
        """The version without its last part."""
        return ".".join(self.version.split(".")[:2])

    def markers(self) -> dict[str, str]:
        """Return what environment markers of requirements are evaluated with."""
        return {
            "python_version": self.minor,
            "python_full_version": self.version,
            "implementation_version": self.version,
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_release": "",
            "platform_version": "",
            "extra": "",
        }

    def platforms(self) -> list[str]:
        """Return the platform tags that it takes, the newest first."""
        newest_first = range(self.glibc, GLIBC_OLDEST - 1, -1)
        old = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}
        tags = [tag for n in newest_first for tag in (f"manylinux_2_{n}", old.get(n)) if tag]
        return [f"{tag}_{self.machine}" for tag in tags]


def gather(target: Target) -> Path:
    """Make the folder anew and return it: `Dockerfile`, `wheels/payments`, `wheels/play`, `wheels/tools`.

    Raises Missing if pip cannot get a wheel.
    """
    shutil.rmtree(FOLDER, ignore_errors=True)
    wheels = FOLDER / "wheels"
    wheels.mkdir(parents=True)
    shutil.copy(DOCKERFILE, FOLDER)
    lock = read_lock(LOCK.read_text("utf-8"))
    base = closure([Requirement(f"{PROJECT}[{','.join(EXTRAS)}]")], lock, target)
    play = closure([Requirement(name) for name in PLAY], lock, target) - base
    tools = read_lock(TOOLS_LOCK.read_text("utf-8"))
    _download(wheels / "payments", chosen(lock, base, target), target)
    _download(wheels / "play", chosen(lock, play, target), target)
    _download(wheels / "tools", chosen(tools, set(tools), target), target)
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels / "payments"), str(ROOT)]
    _pip(build, "the project's own wheel cannot be built")
    return FOLDER


def read_lock(text: str) -> dict[str, tuple[Requirement, str]]:
    """Return a lock's entries by canonical name: the requirement, and its hashes as pip's options."""
    found: dict[str, tuple[Requirement, str]] = {}
    for entry in _entries(text):
        line, *hashes = (part.strip().rstrip("\\").strip() for part in entry)
        requirement = Requirement(line)
        found[canonicalize_name(requirement.name)] = (requirement, " ".join(h for h in hashes if h.startswith("--")))
    return found


def _entries(text: str) -> Iterator[list[str]]:
    entry: list[str] = []
    for line in text.splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            if entry:
                yield entry
            entry = [line]
        elif entry:
            entry.append(line)
    if entry:
        yield entry


def closure(roots: list[Requirement], lock: Mapping[str, object], target: Target) -> set[str]:
    """Return what these need on the target, by canonical name: themselves too, except the project.

    The metadata of what is installed here tells; the lock was made from the same. Raises Missing for a package that is
    not in the lock.
    """
    found: set[str] = set()
    looked_at: set[tuple[str, str]] = set()
    waiting = list(roots)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name != PROJECT and name not in lock:
            raise Missing(f"{name} is not in {LOCK.name}: make the lock anew (CONTRIBUTING.md says how)")
        found.add(name)
        for extra in ("", *sorted(requirement.extras)):
            if (name, extra) not in looked_at:
                looked_at.add((name, extra))
                waiting += _needs(name, extra, target)
    return found - {PROJECT}


def _needs(name: str, extra: str, target: Target) -> list[Requirement]:
    needs = [Requirement(text) for text in requires(name) or []]
    markers = {**target.markers(), "extra": extra}
    return [need for need in needs if need.marker is None or need.marker.evaluate(markers)]


def chosen(lock: Mapping[str, tuple[Requirement, str]], names: set[str], target: Target) -> list[str]:
    """Return the lines of these packages for pip, hashes included, without those that the target does not want."""
    lines = []
    for name in sorted(names):
        requirement, hashes = lock[name]
        if requirement.marker is None or requirement.marker.evaluate(target.markers()):
            lines.append(f"{requirement.name}{requirement.specifier} {hashes}")
    return lines


def _download(folder: Path, lines: list[str], target: Target) -> None:
    folder.mkdir()
    listing = folder.with_suffix(".txt")
    listing.write_text("\n".join(lines) + "\n", encoding="utf-8")
    arguments = ["download", "--no-deps", "--require-hashes", "--only-binary=:all:", "--dest", str(folder)]
    arguments += ["--implementation", "cp", "--python-version", target.minor]
    arguments += [word for platform in target.platforms() for word in ("--platform", platform)]
    _pip([*arguments, "--requirement", str(listing)], f"wheels for Python {target.minor} cannot be had")
    listing.unlink()


def _pip(arguments: list[str], what: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_S, check=False)
    if done.returncode:
        raise Missing(f"{what}: {(done.stderr.strip().splitlines() or ['pip says nothing'])[-1]}")
