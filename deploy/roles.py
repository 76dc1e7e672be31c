"""The work of each role that has an engine, and of webhooks: check at start, work until stopped, drain."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from deploy.memory import tune_gc
from deploy.metrics.instruments import Instruments
from deploy.notifying import say_who_is_told
from deploy.presence import present
from deploy.processes import Started
from deploy.readiness import check_all, database_checks
from deploy.running import now
from deploy.settings import Settings, SettingsError
from deploy.sources import source_maker
from deploy.topics import check_rights
from deploy.webhooks.tally import Came
from deploy.wiring import engine_of
from domain.ports.notices import KeepsNotices
from domain.reaction import Reaction
from outbox.schema.privileges import Process

if TYPE_CHECKING:
    from deploy.webhooks.run import Webhooks

NAMED_MAX = 3
"""So many topics are named where somebody is told what a process does."""


@dataclass(frozen=True, slots=True)
class Roles:
    """What one process does. consume: reactions whose topics it reads. webhooks: only if there is a secret for them."""

    consume: Sequence[Reaction] = ()
    relay: bool = False
    sweep: bool = False
    webhooks: bool = False

    def __str__(self) -> str:
        """Name them, as commands do."""
        names = {"relay": self.relay, "sweep": self.sweep, "webhooks": self.webhooks}
        few = len(self.consume) <= NAMED_MAX
        consumed = ",".join(r.trigger.TYPE for r in self.consume) if few else f"{len(self.consume)} topics"
        return " ".join([*(["consume " + consumed] if consumed else []), *(name for name, has in names.items() if has)])


async def roles_until(
    settings: Settings, roles: Roles, stop: asyncio.Event, started: Started, instruments: Instruments
) -> None:
    """Run these roles until stop is set, then drain. started: called when the checks at start have passed.

    An error before that is what keeps them from starting; a later one is a bug.
    """
    instruments.expect([reaction.name for reaction in roles.consume])
    async with (
        engine_of(settings, relay=roles.relay, sweep=roles.sweep, instruments=instruments) as engine,
        present(settings, str(roles)) as beat,
    ):
        if roles.consume or roles.relay:
            await check_rights(settings, roles.consume, relays=roles.relay)
        tune_gc()
        say_who_is_told(settings)
        also = [beat(stop)]
        also += [_relaying(settings, engine.guard.turn, instruments, stop)] if roles.relay else []
        also += _observing(settings, instruments, stop) if roles.sweep else []
        webhooks = _webhooks_of(settings, engine.ports.notices, instruments) if roles.webhooks else None
        if webhooks is None:
            started()
        else:
            also.append(webhooks.run(stop, started))
        await engine.run(
            stop, roles.consume, source_maker(settings, instruments.health.joined), sweep=roles.sweep, also=also
        )


def _relaying(
    settings: Settings, on_turn: Callable[[str], None], instruments: Instruments, stop: asyncio.Event
) -> Coroutine[Any, Any, None]:
    """Return what a relay does. It is loaded by who relays."""
    from deploy.relaying import relay_of  # noqa: PLC0415 - what consumers and a sweep do not need

    return relay_of(settings, on_turn, instruments).run(stop)


def _observing(settings: Settings, instruments: Instruments, stop: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
    """Return what a sweep does besides: audits of changed orders, and looks at what database and Kafka know."""
    from deploy.observing.audits import Audits  # noqa: PLC0415 - what only a sweep needs

    if instruments.numbers is None:
        return [Audits(settings).run(stop)]
    from deploy.observing.readings import Readings  # noqa: PLC0415 - what only a sweep with metrics needs

    return [Audits(settings).run(stop), Readings(settings, instruments.numbers, now).run(stop)]


def _webhooks_of(settings: Settings, notices: KeepsNotices | None, instruments: Instruments) -> "Webhooks | None":
    """Return the endpoint; None, and a line of the log, if there is no secret to check webhooks with."""
    if notices is None or not settings.webhook_secrets():
        text = "no webhooks are taken, for PAYMENTS_STRIPE_WEBHOOK_SECRET is not set; the gateway's events are polled"
        structlog.get_logger("deploy.roles").info(text)
        return None
    from deploy.webhooks.making import webhooks_of  # noqa: PLC0415 - needs an HTTP server

    return webhooks_of(settings, notices, instruments.webhooks(Came))


async def webhooks_until(settings: Settings, stop: asyncio.Event, started: Started, instruments: Instruments) -> None:
    """Take webhooks until stop is set. It needs neither Kafka nor the gateway's key.

    Raises SettingsError if there is no secret.
    """
    if not settings.webhook_secrets():
        raise SettingsError(
            "set PAYMENTS_STRIPE_WEBHOOK_SECRET (or PAYMENTS_STRIPE_WEBHOOK_SECRET_FILE) to the signing secret of the "
            "endpoint, which the gateway's dashboard shows (whsec_...)"
        )
    from deploy.webhooks.making import notices_of, webhooks_of  # noqa: PLC0415 - as above

    await check_all(*database_checks(settings, Process.WEBHOOKS))
    async with (
        notices_of(settings) as notices,
        present(settings, "webhooks") as beat,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(beat(stop))
        await webhooks_of(settings, notices, instruments.webhooks(Came)).run(stop, started)


async def sweep_once(settings: Settings) -> int:
    """Do everything that is due; return the number of operations."""
    async with engine_of(settings, sweep=True) as engine:
        return await engine.once()
