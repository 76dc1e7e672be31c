"""`payments stock import` and `payments stock adjust`: many SKUs at once, and a recorded adjustment."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.commands import payments
from tests.embedded.support import connected

pytestmark = pytest.mark.integration


def stock(directory: Path, environment: dict[str, str], *arguments: str) -> Any:
    ran = payments(directory, "stock", *arguments, "--json", **environment)
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_a_file_is_imported_as_a_whole_and_again_without_effect(tmp_path: Path, deployment: dict[str, str]) -> None:
    file = tmp_path / "stock.csv"
    file.write_text("sku,quantity,reason\ntea,10,\nmug,3,counted\n")
    first = stock(tmp_path, deployment, "import", str(file), "--reason", "spring")
    assert first == {"skus": 2, "changed": 2, "units_in": 13, "units_out": 0}
    again = stock(tmp_path, deployment, "import", str(file))
    assert again == {"skus": 2, "changed": 0, "units_in": 0, "units_out": 0}
    (tea,) = stock(tmp_path, deployment, "show", "tea")["adjustments"]
    (mug,) = stock(tmp_path, deployment, "show", "mug")["adjustments"]
    assert [(one["delta"], one["reason"]) for one in (tea, mug)] == [(10, "spring"), (3, "counted")]


def test_a_file_with_bad_lines_names_them_and_changes_nothing(tmp_path: Path, deployment: dict[str, str]) -> None:
    stock(tmp_path, deployment, "set", "tea", "5")
    file = tmp_path / "stock.jsonl"
    file.write_text(
        '{"sku": "tea", "delta": -6}\n{"sku": "mug", "quantity": 3}\n\n{"sku": "pan", "delta": -1}\n', encoding="utf-8"
    )
    ran = payments(tmp_path, "stock", "import", str(file), **deployment)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "line 1: SKU tea has 5 units available: 6 cannot be taken out; nothing was changed",
        "line 4: there is no SKU pan: nothing can be taken out of it; nothing was changed",
    ]
    file.write_text("sku,quantity\ntea,many\n")
    ran = payments(tmp_path, "stock", "import", str(file), **deployment)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert ran.err.startswith("line 2: quantity must be a whole number")
    assert [row["sku"] for row in stock(tmp_path, deployment, "show")["stock"]] == ["tea"]


def test_units_are_put_in_and_taken_out_with_a_reason(tmp_path: Path, deployment: dict[str, str]) -> None:
    assert stock(tmp_path, deployment, "adjust", "tea", "7", "--reason", "delivered")["available"] == 7
    done = stock(tmp_path, deployment, "adjust", "tea", "-2", "--reason", "two are broken")
    assert done == {"sku": "tea", "available": 5, "reserved": 0, "sold": 0, "delta": -2}
    shown = stock(tmp_path, deployment, "show", "tea")
    assert shown["stock"] == [{"sku": "tea", "available": 5, "reserved": 0, "sold": 0, "adjusted": 5}]
    recorded = [(one["delta"], one["reason"]) for one in shown["adjustments"]]
    assert recorded == [(-2, "two are broken"), (7, "delivered")]
    text = payments(tmp_path, "stock", "show", "tea", **deployment).out
    assert "two are broken" in text
    ran = payments(tmp_path, "stock", "adjust", "tea", "-6", "--reason", "lost", **deployment)
    assert (ran.code, ran.err) == (1, "payments: SKU tea has 5 units available: 6 cannot be taken out\n")
    assert payments(tmp_path, "stock", "adjust", "tea", "1", **deployment).code == 2
    assert payments(tmp_path, "stock", "adjust", "tea", "1", "--reason", "two\nlines", **deployment).code == 2


@pytest.mark.long
def test_a_million_skus_are_imported_and_one_is_still_found_at_once(tmp_path: Path, deployment: dict[str, str]) -> None:
    file = tmp_path / "million.csv"
    with file.open("w") as lines:
        lines.write("sku,quantity\n")
        lines.writelines(f"sku-{number},{number % 100}\n" for number in range(1_000_000))
    done = stock(tmp_path, deployment, "import", str(file))
    assert done == {"skus": 1_000_000, "changed": 990_000, "units_in": 49_500_000, "units_out": 0}
    began = time.monotonic()
    assert stock(tmp_path, deployment, "show", "sku-777777")["stock"][0]["available"] == 77
    stock(tmp_path, deployment, "adjust", "sku-777777", "1", "--reason", "found")
    assert time.monotonic() - began < 15
    with connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
        assert connection.execute("SELECT sum(available), count(*) FROM stock").fetchone() == (49_500_001, 1_000_000)
