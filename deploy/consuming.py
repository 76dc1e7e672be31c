"""Which consumers run with these settings: that of the internal stock only if the stock is internal."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from consumers.reactions import REACTIONS
from consumers.stock_adjusted import adjust_stock
from deploy.failures import Failure
from deploy.settings import Settings, SettingsError
from domain.reaction import Reaction

INTERNAL: Final = "internal"
ELSEWHERE: Final = (
    "StockAdjusted is about the internal stock, and PAYMENTS_INVENTORY says that stock is kept elsewhere: have the "
    "warehouse tell that inventory, and leave StockAdjusted out"
)


def consumed_with(settings: Settings) -> Sequence[Reaction]:
    """Return all reactions that these settings have work for."""
    if str(settings.inventory) == INTERNAL:
        return REACTIONS
    return [reaction for reaction in REACTIONS if reaction is not adjust_stock]


def all_consumed(settings: Settings) -> Sequence[Reaction]:
    """Return them, and log what is left out."""
    consumed = consumed_with(settings)
    if len(consumed) < len(REACTIONS):
        structlog.get_logger("deploy.roles").info("StockAdjusted is not consumed: stock is kept elsewhere")
    return consumed


def check_consumed(settings: Settings, chosen: Sequence[Reaction]) -> None:
    """Raise SettingsError if a consumer was named that these settings have no work for."""
    if any(reaction not in consumed_with(settings) for reaction in chosen):
        raise SettingsError(ELSEWHERE)


def check_remembered(settings: Settings, since: datetime, now: datetime) -> None:
    """Raise Failure if the inbox has dropped the day of `since`."""
    oldest = now.astimezone(UTC).date() - timedelta(days=settings.inbox_retention_days)
    if since.astimezone(UTC).date() < oldest:
        raise Failure(
            f"the inbox remembers what was processed since {oldest} only (PAYMENTS_INBOX_RETENTION_DAYS). An older "
            "message that would still have an effect becomes a dead letter `too_old`. Say a later time, or --force"
        )
