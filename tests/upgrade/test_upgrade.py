"""The short form of `make upgrade-test`: an upgrade without a stop, there and back, under a little load."""

import click
import pytest

from tests.e2e.conftest import servers, shop, template
from tests.e2e.deployment import Deployment
from tests.upgrade.story import play

__all__ = ["servers", "shop", "template"]
pytestmark = [pytest.mark.whole, pytest.mark.kill, pytest.mark.integration, pytest.mark.timeout(900)]

PER_S = 4.0
AT_LEAST = 12
PHASES = 9


def test_releases_side_by_side_under_load_pay_every_order_once_there_and_back(shop: Deployment) -> None:
    delays = play(shop, PER_S, AT_LEAST, click.echo, brief=True)
    for phase in delays:
        click.echo(phase.line())
    assert len(delays) == PHASES
