"""An operator passes over what cannot be read; the partition goes on, and a dead letter says so."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from deploy.auditing import run_audit
from deploy.failures import Failure
from deploy.passing import Wish, say_pass
from outbox.audit import Report
from outbox.driver.conninfo import connect
from outbox.operators.passed import Passed, say_passed
from tests.consumers.conftest import MakePipeline
from tests.consumers.harness import Pipeline
from tests.consumers.orders import order
from tests.eventually import EVENTUALLY_S
from tests.reading.world import (
    AUTHORIZE,
    ORDERS,
    publish_batch,
    rewind,
    segment,
    topic_of,
    until_committed,
    until_rung,
)

pytestmark = pytest.mark.integration


def wish(first: int, last: int, *, topic: str = ORDERS, partition: int = 0) -> Wish:
    return Wish(topic, partition, first, last, "the publisher sends them again", "ada")


async def blocked(make_pipeline: MakePipeline, data_dir: Path) -> tuple[Pipeline, int, int]:
    """Make a pipeline with one order, a bad batch of two and another order, and let it come to the bad batch."""
    pipeline = await make_pipeline(topic_partitions=1)
    await pipeline.stock(SKU_1=100, SKU_2=100)
    await publish_batch(pipeline, 0, [order("before")])
    first, last = await publish_batch(pipeline, 0, [order("lost-1"), order("lost-2")])
    await publish_batch(pipeline, 0, [order("behind")])
    bad = segment(pipeline, data_dir, 0)
    bad.flip(bad.at(first))
    return pipeline, first, last


async def audited(pipeline: Pipeline) -> Report:
    return await run_audit(pipeline.settings, topics=True, wait_s=20, ledger=pipeline.gateway)


def about(report: Report, number: int) -> Any:
    return next(i for i in report.invariants if i.id == number)


async def test_partition_goes_on_behind_what_an_operator_passes_over(
    make_pipeline: MakePipeline, data_dir: Path
) -> None:
    pipeline, first, last = await blocked(make_pipeline, data_dir)
    with capture_logs() as log:
        await pipeline.join()
        await until_rung(pipeline, log, "unreadable")
        await until_committed(pipeline, {0: first})
        said = await say_pass(pipeline.settings, wish(first, last))
        await pipeline.until_status("paid_and_confirmed", "before", "behind")
    assert said == {
        "id": said["id"],
        "topic": topic_of(pipeline),
        "partition": 0,
        "from": first,
        "to": last,
        "reason": "the publisher sends them again",
        "by": "ada",
    }
    await until_committed(pipeline, {0: last + 2})
    letters = await pipeline.rows(
        "SELECT consumer_group, reason, message_offset, to_offset, key, body, detail FROM dead_letter"
    )
    ((group, reason, letter_first, letter_last, key, body, detail),) = letters
    assert (group, reason, letter_first, letter_last) == (AUTHORIZE.group, "unreadable", first, last)
    assert (key, body) == (None, None)
    assert detail.startswith("ada passed over it (the publisher sends them again): a batch's checksum is wrong")
    assert await pipeline.value("SELECT applied_at >= at FROM passed_stretch")
    await pipeline.until_quiet()
    (copy,) = await pipeline.topics(ORDERS, dead_letters=True)
    assert copy.header["payments_reason"] == b"unreadable"
    assert copy.header["payments_to_offset"] == str(last).encode()
    report = await audited(pipeline)
    assert report.holds
    assert report.quiescent
    assert [note for note in about(report, 10).notes if f"offsets {first} to {last} cannot be read" in note]


async def test_audit_tells_what_it_cannot_read_and_goes_on(make_pipeline: MakePipeline, data_dir: Path) -> None:
    pipeline, first, last = await blocked(make_pipeline, data_dir)
    with capture_logs() as log:
        await pipeline.join()
        await until_rung(pipeline, log, "unreadable")
        await pipeline.until_status("paid_and_confirmed", "before")
        report = await run_audit(pipeline.settings, topics=True, ledger=pipeline.gateway)
    topic, place = topic_of(pipeline), f"-0 offsets {first} to {last} cannot be read: a batch's checksum is wrong"
    (note,) = about(report, 10).notes
    assert note.startswith(topic + place)
    assert note.endswith(f"{AUTHORIZE.group} stands before them")
    assert about(report, 10).violations == ()
    assert not report.quiescent


async def test_audit_sees_offsets_that_were_committed_over_what_cannot_be_read(
    make_pipeline: MakePipeline, data_dir: Path
) -> None:
    pipeline, first, last = await blocked(make_pipeline, data_dir)
    with capture_logs() as log:
        await pipeline.join()
        await until_rung(pipeline, log, "unreadable")
        await until_committed(pipeline, {0: first})
        await say_pass(pipeline.settings, wish(first, last))
        await until_committed(pipeline, {0: last + 2})
    await pipeline.until_quiet()
    await pipeline.rows("DELETE FROM dead_letter")
    violations = about(await audited(pipeline), 10).violations
    assert [v for v in violations if f"offsets {first} to {last} are below what" in v]


async def test_word_that_was_applied_but_not_committed_is_applied_again_with_one_letter(
    make_pipeline: MakePipeline, data_dir: Path
) -> None:
    pipeline, first, last = await blocked(make_pipeline, data_dir)
    with capture_logs() as log:
        member = await pipeline.join()
        await until_rung(pipeline, log, "unreadable")
        await until_committed(pipeline, {0: first})
        await say_pass(pipeline.settings, wish(first, last))
        await until_committed(pipeline, {0: last + 2})
        await member.leave()
        await rewind(pipeline, AUTHORIZE, first)
        await pipeline.join()
        await until_committed(pipeline, {0: last + 2})
    assert await pipeline.dead_letters() == [(AUTHORIZE.group, "unreadable")]


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (wish(1, 2, topic="NoSuchTopic"), "nobody here reads a topic NoSuchTopic"),
        (wish(2, 1), "lies behind --to 1"),
        (wish(1, 2, partition=7), "has no partition 7"),
        (wish(1, 4), "lies behind the last message"),
        (wish(0, 2), "lies before offset 1, where the consumer stands"),
        (wish(1, 3), "the message at offset 3 can be read"),
        (wish(2, 2), "stands before offset 1, which cannot be read: say --from 1"),
        (wish(3, 3), "stands before offset 1, which cannot be read: say --from 1"),
    ],
    ids=["topic", "order", "partition", "end", "committed", "readable", "amid", "ahead"],
)
async def test_word_that_makes_no_sense_is_refused(
    make_pipeline: MakePipeline, data_dir: Path, asked: Wish, answer: str
) -> None:
    pipeline, _, _ = await blocked(make_pipeline, data_dir)
    with capture_logs() as log:
        member = await pipeline.join()
        await until_rung(pipeline, log, "unreadable")
        await until_committed(pipeline, {0: 1})
        await member.leave()
    with pytest.raises(Failure, match=answer):
        await say_pass(pipeline.settings, asked)
    assert await pipeline.value("SELECT count(*) FROM passed_stretch") == 0


async def test_word_that_nobody_has_applied_yet_is_not_said_twice(make_pipeline: MakePipeline, data_dir: Path) -> None:
    pipeline, first, last = await come_and_gone(make_pipeline, data_dir)
    await say_pass(pipeline.settings, wish(first, last))
    with pytest.raises(Failure, match=f"ada has said so of offsets {first} to {last} already"):
        await say_pass(pipeline.settings, wish(first, first))


async def come_and_gone(make_pipeline: MakePipeline, data_dir: Path) -> tuple[Pipeline, int, int]:
    """Do as blocked; the consumer has come to the bad batch, and is gone again."""
    pipeline, first, last = await blocked(make_pipeline, data_dir)
    member = await pipeline.join(consume=[AUTHORIZE])
    await until_committed(pipeline, {0: first})
    await member.leave()
    return pipeline, first, last


async def test_of_operators_who_say_the_same_at_once_one_is_told_of_the_other(
    make_pipeline: MakePipeline, data_dir: Path
) -> None:
    pipeline, first, last = await come_and_gone(make_pipeline, data_dir)
    words = [Passed("payments.authorize_payment", "t", "", 0, first, last, "why", f"op-{n}") for n in range(8)]
    async with AsyncExitStack() as stack:
        url = pipeline.settings.psycopg_url()
        opened = [await stack.enter_async_context(await connect(url, name="test", autocommit=True)) for _ in words]
        said = await asyncio.gather(*(say_passed(c, word) for c, word in zip(opened, words, strict=True)))
    (number,) = [one for one in said if isinstance(one, int)]
    (by,) = await pipeline.rows("SELECT by FROM passed_stretch WHERE id = %s", number)
    assert [one.by for one in said if isinstance(one, Passed)] == [*by] * 7


async def test_word_that_reaches_further_than_the_stretch_passes_over_no_message_that_can_be_read(
    make_pipeline: MakePipeline, data_dir: Path
) -> None:
    pipeline, first, last = await come_and_gone(make_pipeline, data_dir)
    await old_word(pipeline, first, last + 1)
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "before", "behind")
    assert await pipeline.rows("SELECT message_offset, to_offset FROM dead_letter") == [(first, last)]


async def test_word_about_a_topic_that_was_deleted_does_not_count(make_pipeline: MakePipeline, data_dir: Path) -> None:
    pipeline, first, last = await come_and_gone(make_pipeline, data_dir)
    await old_word(pipeline, first, last, topic_id="0" * 31 + "1")
    # Had it counted, this word would be refused, or the letter would be Bob's.
    await say_pass(pipeline.settings, wish(first, last))
    await pipeline.join()
    await pipeline.until_status("paid_and_confirmed", "before", "behind")
    assert await pipeline.value("SELECT detail LIKE 'ada passed over it%%' FROM dead_letter")
    assert await pipeline.rows("SELECT by FROM passed_stretch WHERE applied_at IS NULL") == [("bob",)]


async def old_word(pipeline: Pipeline, first: int, last: int, topic_id: str = "") -> None:
    """Write a word down that was said when things stood otherwise."""
    await pipeline.rows(
        "INSERT INTO passed_stretch (consumer_group, topic, topic_id, partition, from_offset, to_offset, reason, by)"
        " VALUES (%s, %s, %s, 0, %s, %s, 'it was bad then', 'bob')",
        AUTHORIZE.group,
        topic_of(pipeline),
        topic_id,
        first,
        last,
    )


async def test_two_stretches_are_passed_over_one_after_the_other(make_pipeline: MakePipeline, data_dir: Path) -> None:
    pipeline, first, last = await blocked(make_pipeline, data_dir)
    again, until = await publish_batch(pipeline, 0, [order("lost-3")])
    await publish_batch(pipeline, 0, [order("last")])
    bad = segment(pipeline, data_dir, 0)
    bad.garble(bad.at(again))
    await pipeline.join()
    await until_committed(pipeline, {0: first})
    await say_pass(pipeline.settings, wish(first, last))
    await until_committed(pipeline, {0: again})
    await say_pass(pipeline.settings, wish(again, until))
    await pipeline.until_status("paid_and_confirmed", "before", "behind", "last")
    await asyncio.wait_for(pipeline.until_quiet(), EVENTUALLY_S)
    found = await pipeline.rows("SELECT message_offset, to_offset FROM dead_letter ORDER BY 1")
    assert found == [(first, last), (again, until)]
