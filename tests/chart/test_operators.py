"""Manifests of operators' kinds: a field that their definition does not have, or has otherwise, is a fault."""

from pathlib import Path
from typing import Any

import pytest

from tests.chart.operators import faults, read_definitions

DEFINITION = """
spec:
  group: tea.example
  names: {kind: Pot}
  versions:
    - name: v1
      schema:
        openAPIV3Schema:
          type: object
          properties:
            apiVersion: {type: string}
            kind: {type: string}
            metadata: {type: object}
            spec:
              type: object
              required: [cups]
              properties:
                cups: {type: integer}
                port: {x-kubernetes-int-or-string: true}
                notes: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        ({"cups": 2}, 0),
        ({"cups": 2, "port": "http"}, 0),
        ({"cups": 2, "notes": {"any": "thing"}}, 0),
        ({"cups": "2"}, 1),
        ({"cup": 2, "cups": 2}, 1),
        ({}, 1),
    ],
)
def test_what_a_definition_does_not_allow_is_a_fault(tmp_path: Path, spec: dict[str, Any], count: int) -> None:
    (tmp_path / "pot.yaml").write_text(DEFINITION)
    pot = {"apiVersion": "tea.example/v1", "kind": "Pot", "metadata": {"name": "brown"}, "spec": spec}
    assert len(faults(pot, read_definitions([tmp_path / "pot.yaml"]))) == count


def test_a_kind_that_nobody_defines_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "pot.yaml").write_text(DEFINITION)
    pan = {"apiVersion": "tea.example/v1", "kind": "Pan", "metadata": {"name": "black"}, "spec": {}}
    assert faults(pan, read_definitions([tmp_path / "pot.yaml"])) == ["nobody defines Pan of tea.example/v1"]
