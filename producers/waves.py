"""Waves of batches: one batch a partition is sent, then every answer is awaited."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from domain.ports.publisher import OutgoingMessage, Refusal, Scope
from producers.lanes import RECORD_BYTES_MAX, Lane, Results, Stamp, size_of
from producers.refusals import Family, family_of

WAVE_BYTES_MAX: Final = 8_000_000
"""What a slow line carries in one deadline. A broker hangs up on requests over 100 MB (socket.request.max.bytes)."""

_Answer = asyncio.Future[Any]


@dataclass(slots=True)
class Sent:
    """A batch that was sent, with its messages."""

    lane: Lane
    messages: list[OutgoingMessage]
    answer: _Answer


async def send_wave(producer: AIOKafkaProducer, lanes: Sequence[Lane], results: Results, stamp: Stamp) -> list[Sent]:
    """Send the next batch of every lane, up to the size of a wave."""
    sent = []
    room = WAVE_BYTES_MAX
    for lane in lanes:
        while lane.waiting and size_of(lane.waiting[0]) > RECORD_BYTES_MAX:
            results.refuse_first(lane, Refusal(f"over {RECORD_BYTES_MAX} bytes, which no broker takes", Scope.MESSAGE))
        if not lane.waiting:
            continue
        batch = producer.create_batch()
        taken = lane.fill(batch, stamp)
        room -= batch.size()
        sent.append(Sent(lane, taken, await producer.send_batch(batch, lane.topic, partition=lane.partition)))
        if room <= 0:
            break
    return sent


async def await_wave(sent: Sequence[Sent], results: Results, allowed: Callable[[], bool], deadline_s: float) -> bool:
    """Wait for every answer and note it. Return whether the producer must be replaced.

    Raises an error that concerns the producer or the cluster, and TimeoutError if nobody answers.
    """
    if not sent:
        return False
    done, late = await _await_answers([each.answer for each in sent], deadline_s)
    failures = {answer: error for answer in done if (error := answer.exception()) is not None}
    refused = False
    silent: list[Sent] = []
    for each in sent:
        error = failures.get(each.answer)
        if each.answer in late or (error is not None and family_of(error) is Family.PARTITION):
            silent.append(each)
        elif error is None:
            results.acknowledge(each.lane, each.messages)
        elif family_of(error) is not Family.PRODUCER:
            refused = True
            results.refuse(each.lane, each.messages, error)
    if fatal := next((error for error in failures.values() if family_of(error) is Family.PRODUCER), None):
        raise fatal
    # A process that lost its lease was perhaps frozen meanwhile. Then silence says nothing about a partition.
    if silent and not (len(silent) < len(sent) and allowed()):
        raise TimeoutError
    _close_silent(silent, results, deadline_s)
    return refused or bool(silent)


async def _await_answers(answers: Sequence[_Answer], deadline_s: float) -> tuple[set[_Answer], set[_Answer]]:
    """Wait until the deadline. Return the answers that came, and those that did not."""
    done: set[_Answer] = set()
    try:
        done, _ = await asyncio.wait(answers, timeout=deadline_s)
    finally:
        late = set(answers) - done
        for answer in late:
            answer.cancel()
    return done, late


def _close_silent(silent: Sequence[Sent], results: Results, deadline_s: float) -> None:
    """Put back the messages of partitions that did not answer, and close their topics."""
    for each in silent:
        each.lane.put_back(each.messages)
        why = (
            f"partition {each.lane.partition} gave no answer for {deadline_s:g} s, and others did: it has no "
            "leader, or fewer replicas in sync than min.insync.replicas"
        )
        results.closed[each.lane.topic] = Refusal(why, Scope.TOPIC, "topic_stalled")
