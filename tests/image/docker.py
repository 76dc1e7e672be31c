"""The Docker engine, asked by its own command: one that runs here, or one of our own where no registry is reached."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.eventually import eventually
from tests.image.missing import Missing
from tests.image.wheels import Target

BUILD_S: Final = 1800.0
ASK_S: Final = 120.0
START_S: Final = 60.0
LOCAL_BASE: Final = "local/python:3"
_ABOUT: Final = (
    "import os, platform as p; print(p.python_version(), p.machine(), os.confstr('CS_GNU_LIBC_VERSION').split('.')[1])"
)
SYSTEM_PLACES = ":/usr/sbin:/sbin"
"""Where Debian has programs for root."""
PACKAGES: Final = "python3,python3-venv,ca-certificates"
Progress = Callable[[str], None]


class Docker:
    """Runs `docker`. host: an engine's socket; None: the one that docker finds."""

    def __init__(self, host: str | None = None) -> None:
        self._more = {} if host is None else {"DOCKER_HOST": host, "DOCKER_BUILDKIT": "0"}
        if shutil.which("docker") is None:
            raise Missing("docker is not on the PATH: install it (Debian: apt-get install docker.io), then again")

    def __call__(self, *arguments: str, timeout_s: float = ASK_S, cwd: Path | None = None) -> str:
        """Run a command and return what it prints. Raises AssertionError with its last words if it fails."""
        done = self.run(*arguments, timeout_s=timeout_s, cwd=cwd)
        assert done.returncode == 0, f"docker {' '.join(arguments[:3])} ...: {(done.stderr or done.stdout)[-2000:]}"
        return done.stdout.strip()

    def run(
        self, *arguments: str, timeout_s: float = ASK_S, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, whatever comes of it."""
        command, given = ["docker", *arguments], {**os.environ, **self._more}  # noqa: TID251 - a tool's own settings
        return subprocess.run(
            command, env=given, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def engine(self) -> str:
        """Return the engine's version. Raises Missing if none answers."""
        done = self.run("version", "--format", "{{.Server.Version}}")
        if done.returncode:
            raise Missing(
                f"no Docker engine answers ({done.stderr.strip().splitlines()[-1]}): start it, name it in DOCKER_HOST, "
                "or let this start one of its own with --own-engine"
            )
        return done.stdout.strip()

    def target(self, base: str) -> Target:
        """Ask the base image which Python it has. Raises Missing if the image cannot be had."""
        done = self.run(
            "run", "--rm", "--network", "none", "--entrypoint", "python3", base, "-c", _ABOUT, timeout_s=600
        )
        if done.returncode:
            raise Missing(
                f"the base image {base} cannot be run ({(done.stderr.strip().splitlines() or [''])[-1]}): name another "
                "with --base, or make one with --own-engine"
            )
        version, machine, glibc = done.stdout.split()
        return Target(version, machine, int(glibc))

    def build(self, folder: Path, base: str, tag: str, target: str, arguments: Mapping[str, str]) -> None:
        """Build a target of the Dockerfile of a folder, without a network."""
        told = [
            word for name, value in {"BASE": base, **arguments}.items() for word in ("--build-arg", f"{name}={value}")
        ]
        self("build", "--network", "none", "--target", target, "--tag", tag, *told, ".", timeout_s=BUILD_S, cwd=folder)


@contextmanager
def own_engine(folder: Path, progress: Progress) -> Iterator[Docker]:
    """Run an engine of our own while inside, with a base image made by debootstrap. folder: kept, for the next time.

    Raises Missing, naming every tool that is not here. Only root may do it.
    """
    path = os.environ["PATH"] + SYSTEM_PLACES  # noqa: TID251 - a tool's own settings
    tools = [tool for tool in ("dockerd", "debootstrap") if shutil.which(tool, path=path) is None]
    if tools:
        raise Missing(f"{' and '.join(tools)} not found: on Debian apt-get install docker.io debootstrap, then again")
    if os.geteuid() != 0:
        raise Missing("an engine of one's own needs root: use one that runs, and name it in DOCKER_HOST")
    folder.mkdir(parents=True, exist_ok=True)
    socket = f"unix://{folder}/docker.sock"
    command = ["dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "-H", socket]
    with (folder / "dockerd.log").open("wb") as log:
        child = subprocess.Popen(
            [*command, "--pidfile", f"{folder}/pid"],
            env={"PATH": path},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        docker = Docker(socket)
        eventually(lambda: docker.run("version").returncode == 0, f"dockerd answers; see {folder}/dockerd.log", START_S)
        if docker.run("image", "inspect", LOCAL_BASE).returncode:
            progress("making a base image with debootstrap")
            _make_base(docker, folder / "base", path)
        yield docker
    finally:
        child.terminate()
        child.wait(START_S)


def _make_base(docker: Docker, root: Path, path: str) -> None:
    shutil.rmtree(root, ignore_errors=True)
    packed = root.with_suffix(".tar")
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)],
        env={"PATH": path}, check=True, capture_output=True, timeout=BUILD_S,
    )  # fmt: skip
    subprocess.run(["tar", "-C", str(root), "-cf", str(packed), "."], check=True, timeout=BUILD_S)
    docker("import", str(packed), LOCAL_BASE, timeout_s=BUILD_S)
    packed.unlink()
    shutil.rmtree(root)
