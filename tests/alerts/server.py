"""A real Prometheus with a configuration of a test's own. It listens on this machine alone."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from deploy.embedded.ports import free_port
from tests.eventually import eventually

_END_S: Final = 20.0
_ASK_S: Final = 30.0


class Prometheus:
    """A running one. url: where it answers."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Ask for the present value of an expression; return its samples. Raises httpx.HTTPError if it is refused."""
        return list(self._get("query", {"query": expression})["result"])

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are pending or firing, as Prometheus would tell them to an Alertmanager."""
        return list(self._get("alerts", {})["alerts"])

    def has_data(self, expression: str) -> bool:
        """Whether a query finds something that is a number: a share of nothing is none."""
        return any(sample["value"][1] != "NaN" for sample in self.query(expression))

    def is_ready(self) -> bool:
        """Whether it has begun to work."""
        try:
            return httpx.get(f"{self.url}/-/ready", trust_env=False, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def _get(self, what: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/api/v1/{what}", params=dict(parameters), trust_env=False, timeout=_ASK_S)
        answer.raise_for_status()
        return dict(answer.json()["data"])


@contextmanager
def prometheus(folder: Path, config: Mapping[str, Any]) -> Iterator[Prometheus]:
    """Run Prometheus on this folder while inside. Fails, with its log, if it does not start."""
    address = f"127.0.0.1:{free_port()}"
    (folder / "prometheus.yml").write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    words = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    log_file = folder / "prometheus.log"
    with log_file.open("w") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            made = Prometheus(f"http://{address}")
            eventually(lambda: process.poll() is not None or made.is_ready(), "Prometheus is ready")
            assert process.poll() is None, f"Prometheus ended: {log_file.read_text('utf-8')}"
            yield made
        finally:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
