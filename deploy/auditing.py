"""An audit of the deployment that the settings name, with the gateway's ledger and the messages on the topics."""

from collections.abc import Callable

from deploy.contracts import codec_of
from deploy.kafka_topics import GROUPS, KafkaTopics
from deploy.playbank.ledger import SandboxLedger
from deploy.readiness import check_session
from deploy.settings import Settings, SettingsError
from deploy.topics import check_present
from domain.ports.gateway import GatewayLedger
from outbox.audit import Report, Scope, audit, wait_until_quiet
from outbox.driver.conninfo import connect


async def run_audit(
    settings: Settings,
    *,
    topics: bool = False,
    wait_s: float | None = None,
    ledger: GatewayLedger | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Wait until the pipeline is quiet, at most wait_s (None: not at all), then audit it.

    ledger: the gateway's ledger, by default that of the sandbox if that is the gateway. Kafka, if it is set, is asked
    whether the consumers have read everything. Raises Transient or psycopg.OperationalError for what does not answer.
    """
    ledger = ledger or ledger_of(settings)
    reader = KafkaTopics(settings) if topics or settings.kafka_bootstrap_servers is not None else None
    if reader is not None:
        await check_present(settings)
    if topics:
        await check_session(settings, "an audit of the topics")
    scope = Scope(codec_of(settings), GROUPS, settings.topic_prefix)
    lag = reader.lag if reader is not None else None
    # The audit uses several transactions and a temporary table, so it cannot run through a pooler.
    async with await connect(settings.direct_url(), name="payments audit", autocommit=True) as connection:
        if wait_s is not None:
            await wait_until_quiet(connection, scope, wait_s, lag=lag, progress=progress)
        return await audit(connection, scope, ledger=ledger, topics=reader if topics else None, lag=lag)


def ledger_of(settings: Settings) -> GatewayLedger | None:
    """Return the sandbox's ledger; None for gateways that have none to read from here."""
    if settings.gateway != "sandbox":
        return None
    if settings.stripe_api_base is None:
        raise SettingsError("the sandbox's address is not known: set PAYMENTS_STRIPE_API_BASE to read its ledger")
    return SandboxLedger(settings.stripe_api_base)
