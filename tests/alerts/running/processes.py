"""Causes in the processes: killed, frozen, kept out of their groups, or with a bug."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka import Consumer

from tests.alerts.running.case import LATE, Case
from tests.alerts.running.crew import CONSUMERS, RELAYS, ROLES, SWEEPS
from tests.alerts.running.place import Place
from tests.alerts.running.watching import fires, wait
from tests.chaos.script import PLAIN

SILENT: Final = "PaymentsProcessSilent"
STRANGER: Final = "OrderConfirmed"
TOO_MANY: Final = 45
"""More than PAYMENTS_QUARANTINE_MAX, for each of two consumers."""
SOME: Final = 5
"""Orders that wait, whatever the rate of the shop is."""
HANGS_MS: Final = 300_000
JOINS_S: Final = 120.0
KNOWN_S: Final = 180.0
REFUSING: Final = """
    CREATE OR REPLACE FUNCTION refuse_some() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF NEW.order_id LIKE '%-refused-%' THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$;
    CREATE OR REPLACE TRIGGER refuse_some BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse_some()"""


@contextmanager
def sweeps_killed(place: Place) -> Iterator[None]:
    """SIGKILL both."""
    with _killed(place, *SWEEPS):
        yield


@contextmanager
def relays_killed(place: Place) -> Iterator[None]:
    """SIGKILL both, while orders come."""
    with _killed(place, *RELAYS):
        place.publish(PLAIN, SOME)
        yield


@contextmanager
def consumers_killed(place: Place) -> Iterator[None]:
    """SIGKILL both, while orders come."""
    with _killed(place, *CONSUMERS):
        place.publish(PLAIN, SOME)
        yield


@contextmanager
def all_killed(place: Place) -> Iterator[None]:
    """SIGKILL the whole crew."""
    with _killed(place, *ROLES):
        yield


@contextmanager
def one_frozen(place: Place) -> Iterator[None]:
    """SIGSTOP one of two: others go on with its work, and nothing else tells of it."""
    with place.crew.frozen("sweep-2"):
        yield


@contextmanager
def kept_out(place: Place) -> Iterator[None]:
    """Have a member in a consumer's group that hangs, and start the consumers anew: the group waits for it."""
    group = "payments.authorize_payment"
    place.crew.kill(*CONSUMERS)
    stranger = Consumer(
        {
            "bootstrap.servers": place.servers.kafka_bootstrap,
            "group.id": group,
            "partition.assignment.strategy": "roundrobin",
            # So long the group waits for it to share out partitions anew.
            "max.poll.interval.ms": HANGS_MS,
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    try:
        stranger.subscribe([STRANGER])

        def has_joined() -> bool:
            stranger.poll(0.1)
            return bool(stranger.assignment())

        # From then on nobody polls it, as if it hung. It commits nothing, so no order is lost.
        assert wait(has_joined, JOINS_S), "the stranger does not get into the group"
        place.crew.start(*CONSUMERS)
        yield
    finally:
        stranger.close()


@contextmanager
def lease_held(place: Place) -> Iterator[None]:
    """Hold the row of the relays' lease, as a session does that forgot to commit: none of them may send."""
    with place.connect() as holder, holder.transaction():
        holder.execute("SELECT FROM relay_lease FOR UPDATE")
        yield


@contextmanager
def bug(place: Place) -> Iterator[None]:
    """Have so many orders raise an error that the process stops, as the first one of a bad release does."""
    place.rows(REFUSING)
    refused = place.publish(PLAIN, TOO_MANY, "refused")
    try:
        yield
    finally:
        place.rows("DROP TRIGGER refuse_some ON orders")
        place.crew.restore()
        assert wait(lambda: _known(place, refused) == len(refused), KNOWN_S), "not all of the orders were read"
        place.command("dlq", "redrive", "--all")


def _known(place: Place, order_ids: list[str]) -> int:
    """Count the orders that are in quarantine, or were read after the bug was gone."""
    ((known,),) = place.rows(
        """
        SELECT count(*) FROM unnest(%s::text[]) i WHERE EXISTS (SELECT FROM orders o WHERE o.order_id = i)
            OR EXISTS (SELECT FROM dead_letter d WHERE d.order_id = i)""",
        order_ids,
    )
    return int(known)


@contextmanager
def _killed(place: Place, *names: str) -> Iterator[None]:
    place.crew.kill(*names)
    try:
        yield
    finally:
        place.crew.restore()


CASES: Final = (
    Case(
        "both sweeps are killed",
        (
            fires("PaymentsSweepAbsent", metric="payments_readings_failed_total"),
            fires("PaymentsDatabaseNumbersAbsent", metric="payments_outbox_oldest_age_seconds"),
            fires("PaymentsLagAbsent", metric="payments_consumer_lag_seconds"),
            fires("PaymentsAuditAbsent", metric="payments_audit_age_seconds"),
        ),
        sweeps_killed,
        frozenset({SILENT, "PaymentsAuditOld"}),  # once they are back: nothing was audited meanwhile
    ),
    Case(
        "both relays are killed",
        (
            fires("PaymentsRelayAbsent", metric="payments_relay_active"),
            fires("PaymentsOutboxOld"),
            fires("PaymentsOrderOld"),
            fires("PaymentsOrderOldest"),
        ),
        relays_killed,
        LATE | {SILENT},
    ),
    Case(
        "both consumers are killed",
        (
            fires("PaymentsConsumersAbsent", metric="payments_consumer_joined"),
            fires("PaymentsLag", topic=STRANGER, group="payments.authorize_payment"),
        ),
        consumers_killed,
        LATE | {SILENT},
    ),
    Case(
        "every process is killed",
        (fires("PaymentsAbsent", metric="payments_process_info"),),
        all_killed,
        LATE
        | {SILENT, "PaymentsConsumersAbsent", "PaymentsRelayAbsent", "PaymentsSweepAbsent", "PaymentsLagAbsent"}
        | {"PaymentsDatabaseNumbersAbsent", "PaymentsAuditAbsent", "PaymentsLag"},
    ),
    Case(
        "a session holds the relays' lease",
        (fires("PaymentsRelayIdle"),),
        lease_held,
        LATE | {"PaymentsOutboxOld", "PaymentsAlarmPage", "PaymentsLoopStands"},
    ),
    Case("one of two sweeps is frozen", (fires(SILENT),), one_frozen),
    Case(
        "a group waits for a member that hangs",
        (fires("PaymentsConsumerOutside", reaction="authorize_payment"),),
        kept_out,
        LATE | {SILENT, "PaymentsConsumersAbsent", "PaymentsLag"},
    ),
    Case(
        "a bug stops the consumers",
        (fires("PaymentsAlarmPage", reason="bug"), fires("PaymentsQuarantine", kind="letter")),
        bug,
        LATE | {SILENT, "PaymentsConsumersAbsent", "PaymentsLag"},
    ),
)
