"""Puts events of ours into the outbox once more, after Kafka has lost their topics."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from deploy.consuming import check_remembered, consumed_with
from deploy.failures import WRONG_USAGE, Failure
from deploy.settings import Settings
from deploy.topics import owners_of
from outbox.driver.conninfo import connect
from outbox.operators.republishing import Window, republish
from producers.topic_settings import Owner
from schemas.topics import topic_name

ALL: Final = "all"
_FIRST: Final = datetime(1970, 1, 2, tzinfo=UTC)


async def republish_topics(
    settings: Settings,
    names: Sequence[str],
    since: datetime,
    until: datetime | None,
    *,
    now: datetime,
    progress: Callable[[int], None],
    dry_run: bool,
    force: bool,
) -> Mapping[str, int]:
    """Put the events of these topics into the outbox again; return how many of each topic.

    names: topics with or without the prefix, or `all`. Raises Failure for a topic that is not ours, and unless forced
    if a consumer of ours would read what the inbox has forgotten.
    """
    topics = _topics_of(settings, names)
    read = {topic_name(settings.topic_prefix, reaction.trigger.TYPE) for reaction in consumed_with(settings)}
    if not force and not read.isdisjoint(topics):
        check_remembered(settings, since, now)
    window = Window(topics, max(since, _FIRST), until)
    async with await connect(settings.psycopg_url(), name="payments journal", autocommit=True) as connection:
        return await republish(connection, window, progress, dry_run=dry_run)


def _topics_of(settings: Settings, names: Sequence[str]) -> list[str]:
    """Return the names on the broker. Raises Failure for one that is unknown, or that others publish."""
    prefix = settings.topic_prefix
    owners = owners_of(prefix)
    ours = [topic for topic, owner in owners.items() if owner is not Owner.UPSTREAM]
    if ALL in names:
        return ours
    found = list(dict.fromkeys(name if name in owners else prefix + name for name in names))
    for topic in found:
        if topic not in owners:
            known = ", ".join(one.removeprefix(prefix) for one in ours)
            raise Failure(f"there is no topic {topic.removeprefix(prefix)}; ours are {known}, and `{ALL}`", WRONG_USAGE)
        if topic not in ours:
            raise Failure(
                f"{topic.removeprefix(prefix)} is published by others, and the journal has no event of it: "
                "have its publisher send it again"
            )
    return found
