from tests.bench.groups import Group, Partition, unread, unsettled


def _all(*numbers: int) -> frozenset[Partition]:
    return frozenset(("Happened", number) for number in numbers)


def test_a_group_is_settled_when_all_its_members_share_all_partitions() -> None:
    shared = Group("g", stable=True, members=(_all(0, 1), _all(2, 3)))
    assert unsettled([shared], ["g"], members=2, partitions=4) == []


def test_what_is_amiss_with_a_group_is_named() -> None:
    def amiss(*members: frozenset[Partition], stable: bool = True) -> list[str]:
        return unsettled([Group("g", stable, members)], ["g"], members=2, partitions=4)

    assert amiss(_all(0, 1, 2, 3), _all(), stable=False) == ["g: rebalancing"]
    assert amiss(_all(0, 1, 2, 3)) == ["g: 1 of 2 members"]
    assert amiss(_all(0, 1, 2, 3), _all()) == ["g: a member without a partition"]
    assert amiss(_all(0, 1), _all(2)) == ["g: partitions that nobody has"]


def test_a_group_that_is_wanted_must_be_there_and_one_at_the_least() -> None:
    other = Group("other", stable=True, members=(_all(0),))
    assert unsettled([other], ["g"], members=1, partitions=1) == ["g: not there"]
    assert unsettled([], [], members=1, partitions=1) == ["no group"]


def test_more_members_than_partitions_are_settled_though_some_have_none() -> None:
    assert unsettled([Group("g", stable=True, members=(_all(0), _all()))], [], members=2, partitions=1) == []


def test_unread_is_what_a_group_has_not_committed() -> None:
    group = Group("g", stable=True, members=(_all(0), _all(1)))
    ends = {("Happened", 0): 7, ("Happened", 1): 5}
    assert unread([group], ends, {"g": {("Happened", 0): 7, ("Happened", 1): 5}}) == 0
    assert unread([group], ends, {"g": {("Happened", 0): 4, ("Happened", 1): -1001}}) == 8
    assert unread([group], ends, {}) == 12
