"""The short form of `make neighbours`: one kit, whose libraries are always here, on the run's servers."""

import sys
from pathlib import Path

import pytest

from tests.neighbours.kits import ALL, prepared_python
from tests.neighbours.lines import check_lines
from tests.neighbours.publishing import check_publishing, write_orders
from tests.neighbours.settings import check_settings
from tests.neighbours.subscribing import Seen, check_subscribing
from tests.neighbours.world import open_world

AIOKAFKA = next(kit for kit in ALL if kit.name == "python-aiokafka")


@pytest.mark.integration
@pytest.mark.kill
def test_a_copied_kit_publishes_orders_that_are_paid_and_has_one_effect_of_each_outcome(
    kafka_bootstrap: str, database_server_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    kit = prepared_python(AIOKAFKA, AIOKAFKA.copy(tmp_path / "kit"), sys.executable)
    with open_world(kafka_bootstrap, database_server_url, topic_prefix, tmp_path, None) as world:
        orders = write_orders("order", paid=12, declined=5)
        check_publishing(kit, world, orders)
        assert check_subscribing(kit, world, orders, tmp_path) == Seen(declined=5, cancelled=3)


def test_a_kit_says_in_one_line_which_setting_is_missing_or_wrong_and_ends_with_2(tmp_path: Path) -> None:
    check_settings(prepared_python(AIOKAFKA, AIOKAFKA.copy(tmp_path / "kit"), sys.executable))


def test_a_publisher_says_in_one_line_which_of_its_lines_is_no_event_and_ends_with_2(tmp_path: Path) -> None:
    kit = prepared_python(AIOKAFKA, AIOKAFKA.copy(tmp_path / "kit"), sys.executable)
    check_lines(kit, ("no JSON", "no total", "half a cent", "a time without a zone"))
