"""Offsets that are owed: what may be committed of them and when, and what becomes of a commit that fails."""

import asyncio

import pytest
from aiokafka.errors import CommitFailedError

from consumers.adapters.kafka import commits as module
from consumers.adapters.kafka.commits import Commits
from domain.errors import Transient
from tests.consumers.group import Group, P, Q


async def test_nothing_behind_what_waits_is_committed_until_it_is_done() -> None:
    commits, group = Commits(), Group()
    commits.keep_back({P: 5})

    commits.add({P: 9, Q: 7}, "id")
    await commits.send(group)
    commits.add({P: 12}, "id")
    await commits.send(group)
    commits.keep_back({})
    await commits.send(group)

    assert group.committed == [{P: 5, Q: 7}, {P: 12}]


async def test_where_reading_begins_anew_nothing_is_kept_back_or_owed() -> None:
    commits, group = Commits(), Group()
    commits.keep_back({P: 5, Q: 5})
    commits.add({P: 9, Q: 9}, "id")
    before = commits.begun(P), commits.begun(Q)
    commits.forget([P])
    commits.add({P: 3}, "id")
    await commits.send(group)
    assert group.committed == [{P: 3, Q: 5}]
    assert (commits.begun(P) - before[0], commits.begun(Q) - before[1]) == (1, 0)
    commits.forget()
    assert (commits.begun(P) - before[0], commits.begun(Q) - before[1]) == (2, 1)


async def test_two_commits_are_never_under_way_and_the_newer_offset_comes_last() -> None:
    commits, group = Commits(), Group()
    group.answers.clear()
    commits.add({P: 5}, "id")
    first = asyncio.create_task(commits.send(group))
    await group.asked.wait()
    commits.add({P: 9}, "id")
    second = asyncio.create_task(commits.send(group))
    await asyncio.sleep(0)
    assert not second.done()
    assert group.under_way == 1
    group.answers.set()
    await asyncio.gather(first, second)
    assert group.committed == [{P: 5}, {P: 9}]
    assert group.most_under_way == 1


async def test_what_is_under_way_is_not_sent_a_second_time() -> None:
    commits, group = Commits(), Group()
    group.answers.clear()
    commits.add({P: 5}, "id")
    sending = asyncio.create_task(commits.send(group))
    await group.asked.wait()
    commits.add({P: 5}, "id")
    assert not commits.are_pending
    group.answers.set()
    await sending
    commits.add({P: 5}, "id")
    assert not commits.are_pending


async def test_offsets_that_kafka_refused_go_with_the_next_commit_and_undo_no_newer_one() -> None:
    commits, group = Commits(), Group()
    group.answers.clear()
    commits.add({P: 5, Q: 5}, "id")
    sending = asyncio.create_task(commits.send(group))
    await group.asked.wait()
    commits.add({P: 9}, "id")
    group.error = CommitFailedError()
    group.answers.set()
    with pytest.raises(Transient, match="does not take the offsets"):
        await sending
    group.error = None
    await commits.send(group)
    assert group.committed == [{P: 9, Q: 5}]


async def test_offsets_of_a_commit_that_was_cancelled_are_still_owed() -> None:
    commits, group = Commits(), Group()
    group.answers.clear()
    commits.add({P: 5}, "id")
    sending = asyncio.create_task(commits.send(group))
    await group.asked.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    group.answers.set()
    await commits.send(group)
    assert group.committed == [{P: 5}]


@pytest.mark.parametrize("refused", [False, True])
async def test_the_answer_to_a_commit_counts_nothing_for_what_began_anew_meanwhile(*, refused: bool) -> None:
    commits, group = Commits(), Group()
    group.answers.clear()
    commits.add({P: 9, Q: 9}, "id")
    sending = asyncio.create_task(commits.send(group))
    await group.asked.wait()
    commits.forget([P])
    commits.add({P: 3}, "id")
    group.error = CommitFailedError() if refused else None
    group.answers.set()
    await asyncio.wait([sending])
    assert isinstance(sending.exception(), Transient) is refused
    group.committed.clear()
    group.error = None
    await commits.send(group)
    assert group.committed == ([{P: 3, Q: 9}] if refused else [{P: 3}])


async def test_an_offset_is_committed_with_the_id_of_the_topic_that_it_was_noted_of_or_not_at_all() -> None:
    commits, group = Commits(), Group()
    commits.add({P: 5, Q: 5}, "deleted")
    await commits.send(group)
    commits.add({P: 9, Q: 9}, "deleted")
    commits.add({P: 10}, "anew")
    await commits.send(group)
    assert group.notes == [{"deleted"}, {"anew"}]
    assert group.committed == [{P: 5, Q: 5}, {P: 10}]


async def test_a_commit_waits_no_longer_than_one_answer_may_take_also_for_the_commit_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "COMMIT_S", 0.05)
    commits, group = Commits(), Group()
    group.answers.clear()
    commits.add({P: 5}, "id")
    sending = asyncio.create_task(commits.send(group))
    await group.asked.wait()
    commits.add({Q: 5}, "id")
    for waiting in (commits.send(group), sending):
        with pytest.raises(Transient, match="no answer"):
            await asyncio.wait_for(waiting, 10)
    group.answers.set()
    await commits.send(group)
    assert group.committed == [{P: 5, Q: 5}]
