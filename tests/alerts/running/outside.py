"""Causes outside: the gateway, the inventory elsewhere, PostgreSQL, Kafka, and who forges webhooks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx

from deploy.local_servers import WEBHOOKS_PATH
from tests.alerts.running.case import LATE, Case
from tests.alerts.running.crew import CONSUMERS, SWEEPS
from tests.alerts.running.place import Place, persevere
from tests.alerts.running.watching import fires
from tests.chaos.script import CARD_EXPIRED, PAID, PLAIN, STOCK, Kind
from tests.freezing import frozen

SLOW_SHARE: Final = 0.6
BEYOND: Final = 1.3
"""So many times longer than an order has: 1.3 s, or 3.25 s. A call waits for 5 s."""
SLOW_ORDERS: Final = 30
PAUSING: Final = frozenset({"PaymentsLoopStands"})
"""In an outage loops pause for some seconds between two tries: at a sixtieth of its time this is for too long."""
WAITING: Final = LATE | PAUSING | {"PaymentsLag", "PaymentsGatewayErrors", "PaymentsBreakerOpen"}
UNREAD: Final = PAUSING | {"PaymentsDatabaseNumbersAbsent", "PaymentsAuditAbsent", "PaymentsAuditOld"}
STORM: Final = 90
DECLINED: Final = Kind("declined: expired", 1, ("pm_card_chargeDeclinedExpiredCard",), (CARD_EXPIRED,))
LOST: Final = Kind("the answer is lost", 1, ("pm_fault_500_after_on_authorize",), (PAID,))
LOST_SHARE: Final = 0.6
"""Of the calls at the inventory elsewhere."""


@contextmanager
def gateway_down(place: Place) -> Iterator[None]:
    """Have it reset every connection, while orders come."""
    place.weather(down=True)
    place.publish(PLAIN, STORM)
    try:
        yield
    finally:
        place.weather(down=False)


@contextmanager
def gateway_errs(place: Place) -> Iterator[None]:
    """Have it lose many answers, and give others between them: the breaker does not stay open."""
    for _ in range(6):
        place.publish(LOST, STORM // 3)
        place.publish(PLAIN, STORM // 6)
    yield


@contextmanager
def gateway_silent(place: Place) -> Iterator[None]:
    """Have it take calls and answer none: nobody knows what became of them."""
    with frozen(place.gateway.pid):
        place.publish(PLAIN)
        yield


@contextmanager
def gateway_slow(place: Place) -> Iterator[None]:
    """Have it answer late, but in time."""
    place.weather(slow_share=SLOW_SHARE, slow_s=BEYOND * 60 / place.factor)
    place.publish(PLAIN, SLOW_ORDERS)
    try:
        yield
    finally:
        place.weather(slow_share=0.0)


@contextmanager
def cards_declined(place: Place) -> Iterator[None]:
    """Have many customers try cards that have expired."""
    for _ in range(4):
        place.publish(DECLINED, STORM)
    yield


@contextmanager
def inventory_errs(place: Place) -> Iterator[None]:
    """Have the stock elsewhere, which loses the answers of many calls and refuses others."""
    url = _elsewhere(place)
    _faults(url, share=LOST_SHARE, kinds=["500-AFTER", "503"])
    for _ in range(3):
        place.publish(PLAIN, STORM)
    try:
        yield
    finally:
        _faults(url, share=0.0)


@contextmanager
def inventory_down(place: Place) -> Iterator[None]:
    """Have the stock elsewhere, where every connection is reset."""
    url = _elsewhere(place)
    _faults(url, down=True)
    place.publish(PLAIN, STORM)
    try:
        yield
    finally:
        _faults(url, down=False)


def _elsewhere(place: Place) -> str:
    """Have the stock elsewhere from now on; return the address of the inventory."""
    url = f"http://{place.inventory.address}"
    if place.inventory.pid is not None:
        return url
    persevere(place.inventory.start)
    httpx.put(f"{url}/inventory/stock", json={"available": STOCK}, trust_env=False, timeout=10).raise_for_status()
    place.crew.take_away(*CONSUMERS, *SWEEPS)
    elsewhere = {
        "PAYMENTS_INVENTORY": "http",
        "PAYMENTS_INVENTORY_URL": url,
        "PAYMENTS_INVENTORY_TIMEOUT_S": "2",
    }
    place.crew.start(*CONSUMERS, *SWEEPS, more=elsewhere)
    return url


@contextmanager
def postgres_killed(place: Place) -> Iterator[None]:
    """SIGKILL the server."""
    place.servers.postgres.kill()
    try:
        yield
    finally:
        persevere(place.servers.postgres.start)


@contextmanager
def postgres_frozen(place: Place) -> Iterator[None]:
    """SIGSTOP the server: statements neither end nor fail."""
    with frozen(place.servers.postgres.pid):
        yield


@contextmanager
def kafka_killed(place: Place) -> Iterator[None]:
    """SIGKILL the broker."""
    place.servers.kafka.kill()
    try:
        yield
    finally:
        persevere(place.servers.kafka.start)


@contextmanager
def webhook_forged(place: Place) -> Iterator[None]:
    """Send a webhook with a signature of somebody else's."""
    url = f"http://{place.crew.settings['PAYMENTS_WEBHOOKS_LISTEN']}{WEBHOOKS_PATH}"
    answer = httpx.post(url, content=b"{}", headers={"Stripe-Signature": "t=1,v1=00"}, trust_env=False, timeout=10)
    assert answer.status_code == httpx.codes.BAD_REQUEST
    yield


def _faults(url: str, **faults: Any) -> None:
    httpx.post(f"{url}/inventory/faults", json=faults, trust_env=False, timeout=10).raise_for_status()


CASES: Final = (
    Case(
        "the gateway resets every connection",
        (fires("PaymentsBreakerOpen", edge="gateway"),),
        gateway_down,
        WAITING,
    ),
    Case("the gateway loses many answers", (fires("PaymentsGatewayErrors"),), gateway_errs, WAITING),
    Case(
        "the gateway does not answer",
        (fires("PaymentsOperationUnknown"),),
        gateway_silent,
        WAITING,
    ),
    Case("the gateway is slow", (fires("PaymentsOutcomesLateFast"),), gateway_slow, LATE | {"PaymentsLag"}),
    Case("most cards are declined", (fires("PaymentsDeclined"),), cards_declined),
    Case(
        "PostgreSQL is killed",
        (fires("PaymentsReadingsFail", source="database"), fires("PaymentsAlarmPage", reason="dependency_down")),
        postgres_killed,
        LATE | UNREAD | {"PaymentsLag", "PaymentsRelayIdle", "PaymentsOutboxOld"},
    ),
    Case(
        "PostgreSQL is frozen",
        (fires("PaymentsLoopStands"),),
        postgres_frozen,
        LATE
        | UNREAD
        | {"PaymentsLag", "PaymentsRelayIdle", "PaymentsOutboxOld", "PaymentsReadingsFail"}
        | {"PaymentsAlarmPage"},
    ),
    Case(
        "Kafka is killed",
        (fires("PaymentsLagAbsent", metric="payments_consumer_lag_seconds"),),
        kafka_killed,
        LATE
        | PAUSING
        | {"PaymentsReadingsFail", "PaymentsLag", "PaymentsOutboxOld", "PaymentsAlarmPage"}
        | {"PaymentsRelayIdle"},
    ),
    Case("somebody forges webhooks", (fires("PaymentsAlarmTicket", reason="webhook_refused"),), webhook_forged),
)
ELSEWHERE: Final = (
    Case(
        "the inventory elsewhere fails at many calls",
        (fires("PaymentsInventoryErrors"),),
        inventory_errs,
        LATE | PAUSING | {"PaymentsLag", "PaymentsBreakerOpen"},
    ),
    Case(
        "the inventory elsewhere resets every connection",
        (fires("PaymentsBreakerOpen", edge="inventory"),),
        inventory_down,
        LATE | PAUSING | {"PaymentsLag", "PaymentsInventoryErrors"},
    ),
)
"""From the first of them on the stock is elsewhere."""
