"""The topics of a deployment: their names and owners, and the check of their settings at start."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from deploy.failures import listed
from deploy.settings import Settings
from domain.alarms import ring
from domain.errors import DownForEverybody
from producers.rights import lacked_rights
from producers.topic_settings import Difference, Owner, Wanted, Weight
from producers.topics import missing_topics, survey_topics
from schemas.topics import CONSUMED, TOPICS, dead_letter_topic, topic_name

if TYPE_CHECKING:
    from domain.reaction import Reaction

RIGHTS_MAX: Final = 6
MEND: Final = "`payments topics create --mend`"
MEND_UPSTREAM: Final = "`payments topics create --mend-upstream`, or ask its publisher"


class WrongTopics(DownForEverybody):
    """Settings of topics would lose or refuse events, so no role starts. Mend them, then start again."""


def owners_of(prefix: str) -> dict[str, Owner]:
    """Return every topic that the pipeline reads or writes, dead letters included, with its owner."""
    events = {
        topic_name(prefix, event_type): Owner.OURS if topic.ours else Owner.UPSTREAM
        for event_type, topic in TOPICS.items()
    }
    return events | {dead_letter_topic(prefix, event_type): Owner.LETTERS for event_type in CONSUMED}


def wanted_of(settings: Settings) -> Wanted:
    """Return the settings that topics of this deployment shall have."""
    return Wanted(settings.topic_partitions, settings.topic_replication_factor, settings.event_bytes_max)


async def check_present(settings: Settings) -> None:
    """Raise DownForEverybody, naming the command that makes them, unless every topic exists."""
    _refuse_missing(await missing_topics(settings.kafka_options(), owners_of(settings.topic_prefix)))


async def check_topics(settings: Settings) -> None:
    """Check the topics at the start of a role, and log their differences.

    Raises DownForEverybody that names missing ones, WrongTopics for settings with which no role may run, and what
    survey_topics raises. Settings that cannot be read are logged, and the role starts.
    """
    survey = await survey_topics(settings.kafka_options(), owners_of(settings.topic_prefix), wanted_of(settings))
    _refuse_missing(survey.missing)
    log = structlog.get_logger("deploy.topics")
    if survey.unread:
        log.warning(
            "settings of topics cannot be read, so they were not checked",
            topics=listed(list(survey.unread)),
            why=", ".join(sorted(set(survey.unread.values()))),
        )
    stops = []
    for alike in _alike(survey.differences):
        if alike[0].weight is Weight.STOPS:
            stops.append(_sentence(alike))
        else:
            _log(log, alike)
    if stops:
        raise WrongTopics("topics would lose or refuse events: " + "; ".join(stops))


async def check_rights(settings: Settings, reactions: "Sequence[Reaction]" = (), *, relays: bool = False) -> None:
    """Raise DownForEverybody, naming what to grant, unless Kafka lets us read for these reactions, and relay."""
    prefix = settings.topic_prefix
    lacked = await lacked_rights(
        settings.kafka_options(),
        reads=[topic_name(prefix, reaction.trigger.TYPE) for reaction in reactions],
        writes=[topic for topic, owner in owners_of(prefix).items() if owner is not Owner.UPSTREAM] if relays else (),
        groups=[prefix + reaction.group for reaction in reactions],
    )
    if lacked:
        first, user = lacked[0], settings.kafka_sasl_username or "OURS"
        rights = listed([f"{right.operation} on {right.kind} {right.name}" for right in lacked], RIGHTS_MAX)
        command = f"kafka-acls.sh --add --allow-principal User:{user} --operation {first.operation}"
        raise DownForEverybody(
            f"Kafka's rules of access forbid our user {rights}: have its administrator grant that, as with {command} "
            f"--{first.kind} {first.name}"
        )


def todo_of(difference: Difference) -> str:
    """Say who can mend it, and how."""
    if difference.mend is None:
        return "the topic's owner may change it" if difference.weight is Weight.NOTE else "see the reason"
    return MEND_UPSTREAM if difference.owner is Owner.UPSTREAM else MEND


def _refuse_missing(missing: Sequence[str]) -> None:
    if missing:
        raise DownForEverybody(
            f"topics are missing, or this user may not see them ({listed(missing)}): run `payments topics create`"
        )


def _alike(differences: Iterable[Difference]) -> list[list[Difference]]:
    """Group equal differences of several topics for one line each, the most serious first."""
    groups: dict[tuple[object, ...], list[Difference]] = {}
    for d in differences:
        groups.setdefault((d.weight, d.owner, d.setting, d.found, d.wanted, d.why), []).append(d)
    return sorted(groups.values(), key=lambda alike: list(Weight).index(alike[0].weight))


def _sentence(alike: Sequence[Difference]) -> str:
    first = alike[0]
    topics = listed([d.topic for d in alike])
    return f"{topics}: {first.setting} is {first.found}, {first.why} ({todo_of(first)} sets {first.wanted})"


def _log(log: Any, alike: Sequence[Difference]) -> None:
    first = alike[0]
    fields = {
        "topics": listed([d.topic for d in alike]),
        "setting": first.setting,
        "found": first.found,
        "wanted": first.wanted,
        "why": first.why,
    }
    match first.weight:
        case Weight.ALARM:
            ring(log, "topic_settings", "topics may lose orders", **fields)
        case Weight.WARNING:
            log.warning("topics are not as they should be", todo=todo_of(first), **fields)
        case _:
            log.info("topics differ from what is set", todo=todo_of(first), **fields)
