"""A seed is a plan: the same faults in the same order, each kind in its turn, none beside another of its resource."""

import pytest

from tests.chaos.faults import DEALS
from tests.chaos.faults.segments import crc32c
from tests.chaos.plan import EACH_ONCE, KINDS, NAMES, UNREADABLE_KIND, Plan, write_plan
from tests.chaos.script import KINDS as ORDER_KINDS
from tests.chaos.script import Script

PARTITIONS = 12
MINUTES_MAX = 60


@pytest.fixture(params=[1, 2, 3])
def long_plan(request: pytest.FixtureRequest) -> Plan:
    return write_plan(request.param, 200, PARTITIONS)


def test_the_same_seed_writes_the_same_plan_and_the_same_orders_and_another_seed_others() -> None:
    assert write_plan(5, 60, PARTITIONS) == write_plan(5, 60, PARTITIONS)
    assert write_plan(5, 60, PARTITIONS) != write_plan(6, 60, PARTITIONS)
    assert list(Script(5).orders(50)) == list(Script(5).orders(50))
    assert list(Script(5).orders(50)) != list(Script(6).orders(50))


def test_every_kind_can_be_dealt_and_is_in_a_plan_of_200_about_equally_often(long_plan: Plan) -> None:
    assert set(DEALS) == set(NAMES)
    dealt = [fault.kind for fault in long_plan.faults]
    assert 195 <= len(dealt) <= 210
    often = {kind.name: dealt.count(kind.name) for kind in KINDS}
    assert min(often.values()) >= max(often.values()) - 5


def test_the_short_form_has_every_kind() -> None:
    assert {fault.kind for fault in write_plan(1, EACH_ONCE, PARTITIONS).faults} == set(NAMES)


def test_faults_of_one_wave_never_share_a_server_or_a_process(long_plan: Plan) -> None:
    resources = {kind.name: kind.resource for kind in KINDS}
    for wave in long_plan.waves:
        used = [fault.target if resources[fault.kind] == "target" else resources[fault.kind] for fault in wave.faults]
        assert len(used) == len(set(used))


def test_no_broker_is_killed_once_batches_are_unreadable(long_plan: Plan) -> None:
    last = {fault.kind for wave in long_plan.last for fault in wave.faults}
    assert UNREADABLE_KIND.name in last
    assert not {kind for kind in last if kind.startswith("kafka")}
    assert not any(fault.kind == UNREADABLE_KIND.name for wave in long_plan.waves for fault in wave.faults)


def test_two_hundred_faults_fit_an_hour(long_plan: Plan) -> None:
    assert long_plan.seconds < 0.9 * 60 * MINUTES_MAX


def test_a_plan_of_some_kinds_has_no_others() -> None:
    assert {fault.kind for fault in write_plan(1, 6, PARTITIONS, only=["dump"]).faults} == {"dump"}
    assert "dump" not in {fault.kind for fault in write_plan(1, 60, PARTITIONS, without=["dump"]).faults}


def test_a_thousand_orders_have_every_kind() -> None:
    assert {order.kind.name for order in Script(1).orders(4_000)} == {kind.name for kind in ORDER_KINDS}


def test_checksums_are_those_of_rfc_3720() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
