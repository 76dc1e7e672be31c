"""The kits of `deploy/kits`: what each needs, and how it is built in a copy of its folder, as another team would."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.neighbours.checks import Missing, Say
from tests.neighbours.running import environment

ROOT: Final = Path(__file__).parents[2]
KITS: Final = ROOT / "deploy" / "kits"
FOLDER: Final = ROOT / ".venv" / "neighbours"
BUILD_S: Final = 540.0
NOT_BUILT: Final = {".md", ".pyc", ".sql"}
_STAMP: Final = "built.sha256"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A kit that can run in its folder. versions: of language and libraries, for the report."""

    name: str
    folder: Path
    publish: Sequence[str]
    subscribe: Sequence[str]
    versions: str


@dataclass(frozen=True, slots=True)
class Kit:
    """One folder of `deploy/kits`. prepare: builds a copy and says how it runs; raises Missing."""

    name: str
    prepare: Callable[["Kit", Say], Prepared]

    @property
    def source(self) -> Path:
        """Return the folder that a team copies."""
        return KITS / self.name

    def copy(self, folder: Path) -> Path:
        """Copy the kit's files into a folder, and the schemas beside them, as its README says."""
        for source in sorted(self.source.rglob("*")):
            if source.is_file() and "__pycache__" not in source.parts:
                target = folder / source.relative_to(self.source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        for part in ("avro", "released"):
            shutil.copytree(ROOT / "schemas" / part, folder / "schemas" / part, dirs_exist_ok=True)
        return folder


def build(kit: Kit, folder: Path, say: Say, *commands: Sequence[str]) -> None:
    """Run the commands that install and compile a kit, unless they ran for the same files before. Raises Missing."""
    files = [path for path in sorted(kit.source.rglob("*")) if path.is_file() and path.suffix not in NOT_BUILT]
    digest = hashlib.sha256(b"".join(str(path).encode() + path.read_bytes() for path in files)).hexdigest()
    stamp = folder / _STAMP
    if stamp.exists() and stamp.read_text("ascii") == digest:
        return
    for command in commands:
        say(f"{kit.name}: {' '.join(command)}")
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=BUILD_S, check=False
            )
        except subprocess.TimeoutExpired as slow:
            raise Missing(f"{' '.join(command[:3])} did not end within {BUILD_S:g} s") from slow
        if done.returncode != 0:
            reason = (done.stderr or done.stdout).strip()[-600:] or "no reason given"
            raise Missing(f"{' '.join(command[:3])} does not work here: {reason}")
    stamp.write_text(digest, "ascii")


def needs(program: str, what: str) -> str:
    """Return the path of a program. Raises Missing."""
    found = shutil.which(program)
    if found is None:
        raise Missing(f"{what} is not installed here")
    return found


def version_of(*command: str) -> str:
    """Return the first line that a program says about its version."""
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=True)
    return (done.stdout or done.stderr).split("\n")[0].strip()


def python_kit(kit: Kit, say: Say) -> Prepared:
    """Install the kit's requirements, hash-checked, into a venv of its own."""
    folder = kit.copy(FOLDER / kit.name)
    venv = folder / "venv"
    python = str(venv / "bin" / "python")
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps")
    build(kit, folder, say, (sys.executable, "-m", "venv", "--clear", str(venv)), (*pip, "-r", "requirements.txt"))
    return prepared_python(kit, folder, python)


def prepared_python(kit: Kit, folder: Path, python: str) -> Prepared:
    """Return how a Python kit runs in a folder, with a Python that has what it needs."""
    versions = f"Python {version_of(python, '--version').split()[-1]}, {', '.join(_pins(kit))}"
    return Prepared(kit.name, folder, (python, "publish.py"), (python, "subscribe.py"), versions)


def _pins(kit: Kit) -> list[str]:
    lines = (kit.source / "requirements.in").read_text("utf-8").splitlines()
    return [line.replace("==", " ") for line in lines if "==" in line]


def node_kit(kit: Kit, say: Say) -> Prepared:
    """Install the kit's packages as its lock says."""
    node, npm = needs("node", "Node"), needs("npm", "npm")
    folder = kit.copy(FOLDER / kit.name)
    build(kit, folder, say, (npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"))
    pins = json.loads((kit.source / "package.json").read_text("utf-8"))["dependencies"]
    libraries = ", ".join(f"{name} {version}" for name, version in pins.items())
    versions = f"Node {version_of(node, '--version')}, {libraries}"
    return Prepared(kit.name, folder, (node, "publish.js"), (node, "subscribe.js"), versions)


def java_kit(kit: Kit, say: Say) -> Prepared:
    """Compile the kit and gather its libraries."""
    java, mvn = needs("java", "Java"), needs("mvn", "Maven")
    needs("javac", "a JDK (there is a Java that only runs)")
    folder = kit.copy(FOLDER / kit.name)
    build(kit, folder, say, (mvn, "--quiet", "--batch-mode", "compile", "dependency:copy-dependencies"))
    run = (java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", "target/classes:target/dependency/*")
    jars = sorted(path.stem for path in (folder / "target" / "dependency").glob("*.jar"))
    libraries = ", ".join(jar for jar in jars if jar.startswith(("avro-", "kafka-clients-", "postgresql-")))
    versions = f"{version_of(java, '--version')}, {libraries}"
    return Prepared(kit.name, folder, (*run, "kit.Publish"), (*run, "kit.Subscribe"), versions)


def go_kit(kit: Kit, say: Say) -> Prepared:
    """Compile the kit's two programs."""
    go = needs("go", "Go")
    folder = kit.copy(FOLDER / kit.name)
    build(kit, folder, say, (go, "build", "-o", "bin/", "./..."))
    wanted = ("hamba/avro/v2", "jackc/pgx/v5", "twmb/franz-go")
    lines = [line.split() for line in (kit.source / "go.mod").read_text("utf-8").splitlines()]
    pins = {line[0].removeprefix("github.com/"): line[1] for line in lines if len(line) >= 2}
    versions = f"{version_of(go, 'version')}, {', '.join(f'{name} {pins[name]}' for name in wanted)}"
    return Prepared(kit.name, folder, ("bin/publish",), ("bin/subscribe",), versions)


ALL: Final = (
    Kit("python-aiokafka", python_kit),
    Kit("python-confluent", python_kit),
    Kit("node", node_kit),
    Kit("java", java_kit),
    Kit("go", go_kit),
)
