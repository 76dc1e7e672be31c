"""Audits of the deployment that the settings name: with the gateway's record, and the messages on the topics."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Final

from deploy.contracts import codec_of
from deploy.gateways import lists_of
from deploy.inventories import stock_lists_of
from deploy.kafka_topics import GROUPS, KafkaTopics
from deploy.playbank.ledger import SandboxLedger
from deploy.readiness import check_session
from deploy.running import now
from deploy.settings import Settings, SettingsError
from deploy.topics import check_present
from domain.ports.gateway import GatewayLedger
from outbox.audit import (
    LATE,
    GoodsCompared,
    Lists,
    Reconciliation,
    Report,
    Scope,
    audit,
    compare_goods,
    compare_stock,
    read_holds,
    read_lists,
    reconcile,
    wait_until_quiet,
)
from outbox.driver.conninfo import connect

SINCE: Final = timedelta(days=7)
"""A comparison with the gateway's lists begins so long ago, if nobody says otherwise."""


async def run_audit(
    settings: Settings,
    *,
    topics: bool = False,
    wait_s: float | None = None,
    ledger: GatewayLedger | None = None,
    progress: Callable[[str], None] = lambda _: None,
    listing: Callable[[str], None] = lambda _: None,
    parts: Callable[[str], None] = lambda _: None,
) -> Report:
    """Wait until the pipeline is quiet, at most wait_s (None: not at all), then audit it.

    ledger: the gateway's ledger, by default that of the sandbox if that is the gateway. For Stripe, its lists of the
    last weeks, as for an inventory elsewhere its holds; listing gets a line after each page, parts one before each part
    of the audit. Kafka, if it is set, is asked whether the consumers have read everything. Raises Transient or
    psycopg.OperationalError for what does not answer.
    """
    ledger = ledger or ledger_of(settings)
    listed = ledger is None and settings.gateway == "stripe"
    reader = KafkaTopics(settings) if topics or settings.kafka_bootstrap_servers is not None else None
    if reader is not None:
        await check_present(settings)
    if topics or listed or settings.inventory == "http":
        await check_session(settings, "an audit of the topics" if topics else "an audit with lists of others")
    scope = Scope(codec_of(settings), GROUPS, settings.topic_prefix)
    lag = reader.lag if reader is not None else None
    # The audit uses several transactions and temporary tables, so it cannot run through a pooler.
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(
            await connect(settings.direct_url(), name="payments audit", autocommit=True)
        )
        if wait_s is not None:
            await wait_until_quiet(connection, scope, wait_s, lag=lag, progress=progress)
        record: GatewayLedger | Lists | None = ledger
        if listed:
            lists = await stack.enter_async_context(lists_of(settings))
            record = await read_lists(connection, lists, now() - SINCE - LATE, listing)
        holds = None
        if settings.inventory == "http":
            goods = await stack.enter_async_context(stock_lists_of(settings))
            holds = await read_holds(connection, goods, now() - SINCE - LATE, listing)
        asked = reader if topics else None
        return await audit(connection, scope, ledger=record, topics=asked, lag=lag, holds=holds, progress=parts)


async def run_reconcile(
    settings: Settings, since: datetime, progress: Callable[[str], None] = lambda _: None
) -> Reconciliation:
    """Compare our books with the gateway's lists, from LATE before since on: payments are captured so late.

    Raises SettingsError for a gateway without lists, Transient or psycopg.OperationalError for what does not answer.
    """
    async with lists_of(settings) as lists:
        await check_session(settings, "a comparison with the gateway's lists")
        async with await connect(settings.direct_url(), name="payments reconcile", autocommit=True) as connection:
            return await reconcile(connection, await read_lists(connection, lists, since - LATE, progress))


async def run_reconcile_goods(
    settings: Settings, since: datetime | None, progress: Callable[[str], None] = lambda _: None
) -> GoodsCompared:
    """Compare our holds with the inventory's: those that changed since then there, or all.

    The internal inventory is in our own database: its sums are compared with the holds, all of them.
    Raises SettingsError without an address, Transient or psycopg.OperationalError for what does not answer.
    """
    if settings.inventory == "internal":
        async with await connect(settings.direct_url(), name="payments reconcile", autocommit=True) as connection:
            return await compare_stock(connection)
    async with stock_lists_of(settings) as lists:
        await check_session(settings, "a comparison with the inventory")
        async with await connect(settings.direct_url(), name="payments reconcile", autocommit=True) as connection:
            return await compare_goods(connection, await read_holds(connection, lists, since, progress))


def ledger_of(settings: Settings) -> GatewayLedger | None:
    """Return the sandbox's ledger; None for gateways that have none to read from here."""
    if settings.gateway != "sandbox":
        return None
    if settings.stripe_api_base is None:
        raise SettingsError("the sandbox's address is not known: set PAYMENTS_STRIPE_API_BASE to read its ledger")
    return SandboxLedger(settings.stripe_api_base)
