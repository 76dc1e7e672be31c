"""The rendered manifests of `deploy/chart/rendered`, as a cluster would get them."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).parents[2] / "deploy" / "chart"
RENDERED: Final = CHART / "rendered"
EXAMPLES: Final = sorted(path.stem for path in (CHART / "examples").glob("*.yaml"))
KUBERNETES: Final = "1.37.0"
FOREIGN_GROUPS: Final = ("kafka.strimzi.io/", "keda.sh/", "monitoring.coreos.com/")
"""Kinds of operators; `make chart` holds them against the operators' own definitions."""

LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

DIGEST: Final = RENDERED / "made-from.sha256"
"""What the chart, its examples and the rendered manifests were when helm made the latter."""

Manifest = Mapping[str, Any]


def digest(chart: Path = CHART) -> str:
    """Return the SHA-256 of all that helm reads of the chart, and of what it made."""
    files = sorted(path for path in chart.rglob("*") if path.is_file() and path.name != DIGEST.name)
    listed = [(path.relative_to(chart).as_posix(), path.read_bytes()) for path in files]
    return hashlib.sha256(repr(listed).encode()).hexdigest()


@cache
def manifests(example: str) -> list[Manifest]:
    """Return the manifests of an example; nobody changes them."""
    return read_manifests((RENDERED / f"{example}.yaml").read_text("utf-8"))


def read_manifests(text: str) -> list[Manifest]:
    """Return the manifests of a text."""
    return [document for document in yaml.load_all(text, Loader=LOADER) if document]


def kind_of(found: list[Manifest], kind: str) -> list[Manifest]:
    """Return the manifests of a kind."""
    return [one for one in found if one["kind"] == kind]


def pods(found: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield the name and the pod's spec of each Deployment and Job."""
    for one in found:
        if one["kind"] in {"Deployment", "Job"}:
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def container(spec: Manifest) -> Manifest:
    """Return the only container of a pod."""
    (only,) = spec["containers"]
    return dict(only)


def environment(spec: Manifest) -> dict[str, str]:
    """Return the environment of a pod's container. Every value is text, or Kubernetes would refuse it."""
    return {entry["name"]: entry["value"] for entry in container(spec)["env"]}


def injected(service: Manifest, address: str = "10.0.0.7") -> dict[str, str]:
    """Return what Kubernetes puts into the environment of pods for a Service."""
    name = re.sub("-", "_", service["metadata"]["name"]).upper()
    first = service["spec"]["ports"][0]
    found = {f"{name}_SERVICE_HOST": address, f"{name}_SERVICE_PORT": str(first["port"])}
    for port in service["spec"]["ports"]:
        url = f"tcp://{address}:{port['port']}"
        stem = f"{name}_PORT_{port['port']}_TCP"
        found |= {f"{name}_SERVICE_PORT_{port['name'].upper()}": str(port["port"]), f"{name}_PORT": url, stem: url}
        found |= {f"{stem}_PROTO": "tcp", f"{stem}_PORT": str(port["port"]), f"{stem}_ADDR": address}
    return found
