"""The short form of `make chart`: what is kept was made from the chart that lies here."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chart.manifests import CHART, DIGEST, EXAMPLES, digest
from tests.chart.tools import HELM_PROGRAM

ROOT = Path(__file__).parents[2]
MISSING = 2


def test_what_is_kept_was_made_from_todays_chart() -> None:
    again = "renew it: python -m tests.chart --write (needs Go the first time)"
    assert DIGEST.read_text("ascii").strip() == digest(), again


@pytest.mark.parametrize(
    "changed",
    ["payments/values.yaml", "payments/templates/_pod.tpl", f"examples/{EXAMPLES[0]}.yaml", "rendered/small.yaml"],
)
def test_a_change_that_was_not_rendered_is_found(changed: str, tmp_path: Path) -> None:
    chart = Path(shutil.copytree(CHART, tmp_path / "chart"))
    assert digest(chart) == digest()
    with (chart / changed).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert digest(chart) != digest()


@pytest.mark.skipif(not HELM_PROGRAM.exists(), reason="helm is not here: `make chart` brings it, with Go")
@pytest.mark.timeout(600)
def test_helm_makes_what_is_kept_and_refuses_wrong_values() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.chart"], cwd=ROOT, capture_output=True, text=True, timeout=540, check=False
    )
    if done.returncode == MISSING:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
