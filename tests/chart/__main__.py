"""`python -m tests.chart`: the chart with helm: lint, render, refuse, validate. `--write` renews what is kept.

Exit 0: all is right. 1: something is not. 2: a tool is missing, and the last line names it.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Final

import click
import kubernetes_validate

from tests.chart.manifests import CHART, DIGEST, EXAMPLES, FOREIGN_GROUPS, KUBERNETES, RENDERED, digest, read_manifests
from tests.chart.operators import faults, read_definitions
from tests.chart.table import table_text
from tests.chart.tools import Missing, definitions, helm

HELM_S: Final = 120.0
TABLE: Final = CHART / "payments" / "files" / "topics.yaml"
WRITE: Final = "`python -m tests.chart --write` renews it"
REFUSED: Final = {
    "a secret among the settings": ["settings.PAYMENTS_STRIPE_API_KEY=sk_live_1"],
    "a setting of Kafka that has a value of its own": ["settings.PAYMENTS_KAFKA_SECURITY_PROTOCOL=SSL"],
    "a value that there is not": ["relay.replica=3"],
    "less time to stop than a process takes": ["terminationGraceSeconds=10"],
    "topics of Strimzi without a cluster": ["topics.owner=strimzi"],
    "users of Strimzi without passwords at Kafka": ["strimzi.users.enabled=true", "strimzi.cluster=events"],
    "two owners of the topics": ["topics.owner=both"],
    "a topic that nobody consumes": ["consume.all.triggers={OrderConfirmed}"],
    "a login without a name": ["kafka.securityProtocol=SASL_SSL"],
    "an ingress without a host": ["webhooks.ingress.enabled=true"],
    "no brokers": ["kafka.bootstrapServers="],
}
"""Values that no release may be made of, beside the example `small`."""


class Helm:
    """Runs helm on the chart."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def lint(self, example: str) -> list[str]:
        """Return what lint finds."""
        done = self._run(
            "lint", str(CHART / "payments"), "--strict", "--quiet", "--kube-version", KUBERNETES, *_of(example)
        )
        return [] if done.returncode == 0 else [f"{example}: helm lint: {done.stdout.strip()}{done.stderr.strip()}"]

    def render(self, example: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Render the chart as a release `payments` in the namespace `payments`."""
        release = ["template", "payments", str(CHART / "payments"), "--namespace", "payments"]
        return self._run(*release, "--kube-version", KUBERNETES, *_of(example), *more)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._program), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=HELM_S, check=False)


def _of(example: str) -> list[str]:
    return ["--values", str(CHART / "examples" / f"{example}.yaml")]


def main() -> int:
    """Check the chart, or renew what is kept of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chart", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table and the rendered manifests anew")
    asked = parser.parse_args()
    try:
        if asked.write:
            TABLE.write_text(table_text(), encoding="utf-8")
        program = Helm(helm())
        wrong = _kept(program, write=asked.write)
        wrong += [fault for example in EXAMPLES for fault in program.lint(example)]
        wrong += _refusals(program)
        wrong += _validated()
    except Missing as missing:
        click.echo(f"make chart: {missing}", err=True)
        return 2
    for fault in wrong:
        click.echo(fault, err=True)
    if not wrong:
        count = sum(len(read_manifests((RENDERED / f"{example}.yaml").read_text("utf-8"))) for example in EXAMPLES)
        click.echo(
            f"the chart: {len(EXAMPLES)} sets of values, {count} manifests valid, {len(REFUSED)} wrong sets refused"
        )
    return 1 if wrong else 0


def _kept(program: Helm, *, write: bool) -> list[str]:
    """Compare what is kept with what helm makes today, or write it."""
    wrong = []
    for example in EXAMPLES:
        done = program.render(example)
        file = RENDERED / f"{example}.yaml"
        if done.returncode:
            wrong.append(f"{example}: helm template: {done.stderr.strip()}")
        elif write:
            file.write_text(done.stdout, encoding="utf-8")
        elif not file.exists() or file.read_text("utf-8") != done.stdout:
            wrong.append(f"{file.name} in {RENDERED.name} is not what helm makes: {WRITE}")
    if write:
        DIGEST.write_text(f"{digest()}\n", encoding="ascii")
    elif not DIGEST.exists() or DIGEST.read_text("ascii").strip() != digest():
        wrong.append(f"{DIGEST.name} in {RENDERED.name} is of another chart: {WRITE}")
    if TABLE.read_text("utf-8") != table_text():
        wrong.append(f"{TABLE.name} is not the product's table: {WRITE}")
    return wrong


def _refusals(program: Helm) -> list[str]:
    wrong = []
    for what, values in REFUSED.items():
        more = [word for value in values for word in ("--set", value)]
        if program.render("small", *more).returncode == 0:
            wrong.append(f"helm takes {what}: {', '.join(values)}")
    return wrong


def _validated() -> list[str]:
    schemas = read_definitions(definitions())
    wrong = []
    for example in EXAMPLES:
        for manifest in read_manifests((RENDERED / f"{example}.yaml").read_text("utf-8")):
            if manifest["apiVersion"].startswith(FOREIGN_GROUPS):
                wrong += [f"{example}: {fault}" for fault in faults(manifest, schemas)]
                continue
            try:
                kubernetes_validate.validate(dict(manifest), KUBERNETES, strict=True)
            except kubernetes_validate.ValidationError as error:
                wrong.append(f"{example}: {manifest['kind']} {manifest['metadata']['name']}: {error}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
