"""Every value of the chart is in its page and in its schema, and no secret may stand among the settings."""

import json
import re
from typing import Any

import pytest
import yaml

from deploy.settings import SECRET_NAMES
from tests.chart.manifests import CHART

PAGE = (CHART.parent / "KUBERNETES.md").read_text("utf-8")
VALUES: dict[str, Any] = yaml.safe_load((CHART / "payments" / "values.yaml").read_text("utf-8"))
SCHEMA = json.loads((CHART / "payments" / "values.schema.json").read_text("utf-8"))
OPEN = {"settings", "secrets", "kafka.logins", "kafka.ca", "consume", "resources", "annotations", "labels"}


def rows() -> dict[str, str]:
    """Return the rows of the page's table of values, by the names in their first column."""
    table = PAGE.partition("## Values")[2].partition("## How")[0]
    cells = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    return {name: "|".join(cell) for cell in cells for name in re.findall(r"`([\w.]+)`", cell[1])}


def paths(value: Any, path: str = "") -> list[str]:
    """Return the paths of all values that somebody may set."""
    if not isinstance(value, dict) or not value or path in OPEN or path.rpartition(".")[2] in OPEN:
        return [path]
    return [found for name, inner in value.items() for found in paths(inner, f"{path}.{name}".lstrip("."))]


@pytest.mark.parametrize("path", paths(VALUES))
def test_the_page_tells_every_value(path: str) -> None:
    told = rows()
    parts = path.split(".")
    if path in told:
        return
    row = next((told[name] for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in told), None)
    assert row is not None, f"{path} is not in the table of deploy/KUBERNETES.md"
    for part in parts[1:]:
        assert f"`{part}`" in row or f".{part}`" in row, f"{path}: {part} is not told"


def test_the_page_tells_no_value_that_there_is_not() -> None:
    for name in rows():
        found: Any = VALUES
        for part in name.split("."):
            assert part in found, name
            found = found[part]


@pytest.mark.parametrize("name", sorted(SECRET_NAMES))
def test_no_secret_may_stand_among_the_settings(name: str) -> None:
    refused = re.compile(SCHEMA["properties"]["settings"]["propertyNames"]["not"]["pattern"])
    assert refused.search(name), f"{name} is a secret: let values.schema.json refuse it in settings"
    assert refused.search(name + "_FILE")
