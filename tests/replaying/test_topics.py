"""`payments replay` on a real Kafka: goes on where it ended, reads what is committed and no more, needs few rights."""

import asyncio
import json
import random
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from deploy.failures import Failure
from deploy.replay.manifest import ALL, Window
from deploy.replay.run import Wish, check_names, replay_topics
from deploy.replay.topics import BATCH_BYTES, STEP, open_topics
from deploy.settings import load_settings
from schemas.codec import Codec
from tests.deploy.commands import payments
from tests.eventually import eventually
from tests.guarded import forbidden, guarded
from tests.processes import COMMAND
from tests.replaying.deployment import TYPE, Deployment, figures, ids, orders
from tests.replaying.filling import bodies, fill
from tests.replaying.killing import counted, run_to_end
from tests.replaying.test_folder import ids_of

__all__ = ["guarded"]

pytestmark = pytest.mark.integration


@pytest.fixture
async def here(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Deployment:
    deployment = Deployment(kafka_bootstrap, topic_prefix, tmp_path / "out")
    await deployment.make()
    return deployment


async def test_the_command_goes_on_where_it_ended_and_says_what_it_did(here: Deployment) -> None:
    first, later = orders("a", "b", "c"), orders("d", "e")
    await here.publish(first)
    command = ("replay", TYPE, "--out", str(here.out), "--json")
    ran = [await asyncio.to_thread(payments, here.out.parent, *command, **here.environment)]
    await here.publish([*first[1:], *later])
    ran += [await asyncio.to_thread(payments, here.out.parent, *command, **here.environment) for _ in range(2)]
    assert [one.code for one in ran] == [0, 0, 0], [one.err for one in ran]
    assert [figures(json.loads(one.out)) for one in ran] == [(3, 3, 0, 0, 2), (4, 2, 2, 0, 2), (0, 0, 0, 0, 0)]
    assert ids_of(here.out, "parquet") == ids([*first, *later])
    assert {path.name for path in here.out.iterdir()} >= {"manifest.json", "dictionary.md", "views.sql"}


async def test_it_ends_at_the_last_stable_offset_and_never_reads_what_was_aborted(here: Deployment) -> None:
    before, held, behind, aborted = orders("before"), orders("held"), orders("behind"), orders("aborted")
    await here.publish(before)
    async with AIOKafkaProducer(bootstrap_servers=here.servers, transactional_id=here.prefix) as producer:
        async with producer.transaction():
            await producer.send_and_wait(here.topic, Codec().encode(held[0]), b"held", 0)
            await here.publish(behind)
            assert figures(await here.run()) == (1, 1, 0, 0, 1)
        assert figures(await here.run())[:2] == (2, 2)
        await producer.begin_transaction()
        await producer.send_and_wait(here.topic, Codec().encode(aborted[0]), b"aborted", 0)
        await producer.abort_transaction()
    await here.publish(orders("last"))
    assert figures(await here.run())[:2] == (1, 1)
    assert ids_of(here.out, "jsonl") == ids([*before, *held, *behind, *orders("last")])


async def test_from_and_to_compare_timestamps_and_may_be_said_again(here: Deployment) -> None:
    begin = 1_772_366_400_000
    for number, at_ms in enumerate((begin - 1, begin, begin + 9, begin + 10, begin + 5)):
        await here.publish(orders(f"o-{number}"), at_ms=at_ms)
    window = Window(begin, begin + 10)
    assert figures(await here.run(window))[1] == 3
    assert figures(await here.run(window))[1] == 0
    assert ids_of(here.out, "jsonl") == ids(orders("o-1", "o-2", "o-4"))


async def test_describe_and_read_on_the_topics_suffice(guarded: str, tmp_path: Path) -> None:
    here = Deployment(guarded, "", tmp_path / "out")
    await here.make()
    await here.publish(orders("a", "b"))
    with forbidden(guarded, ResourceType.GROUP, "*", AclOperation.READ):
        assert figures(await here.run()) == (2, 2, 0, 0, 2)
    with forbidden(guarded, ResourceType.TOPIC, TYPE, AclOperation.DESCRIBE), pytest.raises(Exception, match=TYPE):
        await here.run()


async def test_a_topic_that_was_made_anew_or_lost_messages_is_refused(here: Deployment) -> None:
    await here.publish(orders("a"))
    await here.run()
    manifest = here.out / "manifest.json"
    state = json.loads(manifest.read_text())
    state["topics"][TYPE]["next"]["0"] = 10
    manifest.write_text(json.dumps(state))
    with pytest.raises(Failure, match="ends at offset 1, and 10 messages of it were read before"):
        await here.run()
    state["topics"][TYPE]["topic_id"] = "0" * 32
    manifest.write_text(json.dumps(state))
    with pytest.raises(Failure, match="was made anew"):
        await here.run()


async def test_a_topic_that_is_not_there_is_named(here: Deployment) -> None:
    settings = load_settings(here.environment, directory=here.out.parent)
    with pytest.raises(Failure, match=f"there is no topic {here.prefix}PaymentVoided"):
        await replay_topics(settings, Wish(["PaymentVoided"], here.out, "jsonl", ALL), lambda _: None)


def test_topics_are_named_with_or_without_the_prefix_and_unknown_ones_are_refused() -> None:
    assert check_names(["shop.OrderConfirmed", "PaymentVoided", "OrderConfirmed"], "shop.") == [TYPE, "PaymentVoided"]
    assert len(check_names(["all"], "")) == 24
    with pytest.raises(Failure, match=r"there is no event OrderConfirmed\.dlt; there are OrderConfirmed, "):
        check_names(["OrderConfirmed.dlt"], "")
    with pytest.raises(Failure, match="there is no event nope"):
        check_names(["all", "nope"], "")


def kill_one(here: Deployment, after_s: float) -> None:
    """Start the command, and kill it so long after it has opened its folder."""
    child = subprocess.Popen([COMMAND, "replay", TYPE, "--out", here.out], env=here.environment, cwd=here.out.parent)
    opened = here.out / ".lock"
    opened.unlink(missing_ok=True)
    eventually(lambda: opened.exists() or child.poll() is not None, "the folder is opened")
    with suppress(subprocess.TimeoutExpired):
        child.wait(after_s)
    child.kill()
    child.wait()


@pytest.mark.kill
async def test_a_process_that_is_killed_again_and_again_leaves_each_event_once(here: Deployment) -> None:
    count, draw = 12_000, random.Random(7)
    fill(here.servers, here.topic, bodies(count, 3, 1), repeat_every=10)
    for _ in range(2):
        await asyncio.to_thread(kill_one, here, draw.uniform(0.05, 0.6))
        rows, different = counted(here.out)
        assert rows == different <= count
    assert await asyncio.to_thread(run_to_end, here.out, here.environment) is not None
    assert counted(here.out) == (count, count)


async def test_long_messages_that_were_sent_packed_are_read_a_few_at_a_time(here: Deployment) -> None:
    count, value = 400, bytes(90_000)
    async with AIOKafkaProducer(bootstrap_servers=here.servers, compression_type="gzip") as producer:
        for _ in range(count):
            await producer.send(here.topic, value, partition=0)
    settings = load_settings(here.environment, directory=here.out.parent)
    async with open_topics(settings) as topics, topics.topic(TYPE) as reader:
        reads = [[len(message.value or b"") for message in read.messages] async for read in reader.read(0, 0)]
    sizes = [sum(read) for read in reads]
    assert sum(sizes) == count * len(value)
    assert max(sizes) <= BATCH_BYTES + STEP * len(value)
