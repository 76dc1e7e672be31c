"""Each metric moves when its cause is made, in real processes on real servers."""

import json
from pathlib import Path

import httpx
import pytest

from deploy.metrics.metric import By
from deploy.metrics.table import METRICS
from deploy.webhooks.endpoint import BODY_MAX
from deploy.webhooks.tally import Came
from tests.deploy.commands import payments
from tests.deploy.orders import confirmed, publish, status_of
from tests.embedded.support import connected
from tests.metrics.scraping import ON, Scraped, probe
from tests.processes import started
from tests.webhooks.gateway import SECRET, event, header, now_s

pytestmark = pytest.mark.integration


def run(deployment: dict[str, str], *statements: str) -> None:
    with connected(deployment["PAYMENTS_DATABASE_URL"]) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_outcomes_and_their_causes_are_counted(tmp_path: Path, deployment: dict[str, str]) -> None:
    payments(tmp_path, "stock", "set", "tea", "10", **deployment)
    with started(tmp_path, "up", **deployment, **ON) as up:
        scraped = Scraped(up)
        up.await_line('"running"')
        paid, failed = {"outcome": "paid_and_confirmed"}, {"outcome": "payment_failed"}
        assert scraped.value("payments_orders_total", **paid) == 0
        publish(
            tmp_path,
            deployment,
            confirmed("paid"),
            confirmed("declined", "pm_card_chargeDeclinedInsufficientFunds"),
            confirmed("short", quantity=99),
        )
        unchecked = json.dumps({**confirmed("wrong"), "total_minor": 1}) + "\n"
        assert payments(tmp_path, "publish", "--unchecked", "-", stdin=unchecked, **deployment).code == 0
        scraped.becomes(1, "payments_orders_total", **paid, reason="none")
        scraped.becomes(1, "payments_orders_total", **failed, reason="insufficient_funds")
        scraped.becomes(1, "payments_orders_total", **failed, reason="items_unavailable")
        scraped.becomes(1, "payments_dead_letters_total", event="OrderConfirmed", reason="total_mismatch")
        scraped.becomes(1, "payments_dead_letters_waiting", event="OrderConfirmed", reason="total_mismatch")
        scraped.becomes(1, "payments_alarms_total", reason="total_mismatch")
        assert scraped.value("payments_order_outcome_seconds_count", **paid, waited="no") == 1
        assert scraped.value("payments_order_outcome_seconds_count", **failed, waited="no") == 2
        assert scraped.value("payments_order_outcome_seconds_bucket", **paid, waited="no", le="60.0") == 1
        asked = {"asked": "call", "outcome": "approved"}
        assert scraped.value("payments_gateway_calls_total", operation="capture", **asked) == 1
        assert (
            scraped.value("payments_gateway_calls_total", operation="authorize", asked="call", outcome="declined") == 1
        )
        assert scraped.value("payments_gateway_call_seconds_count", operation="authorize", asked="call") == 3
        assert scraped.value("payments_batch_messages_sum", reaction="authorize_payment") == 4
        scraped.becomes(0, "payments_outbox_messages")
        assert scraped.value("payments_relay_active") == 1
        assert (scraped.value("payments_published_messages_total") or 0) >= 9
        assert (scraped.value("payments_publish_seconds_count") or 0) >= 1
        assert (scraped.value("payments_database_transaction_seconds_count") or 0) >= 4
        assert up.stop() == 0


def test_every_declared_metric_is_exported_by_a_process_that_does_all(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    with started(tmp_path, "up", **deployment, **ON) as up:
        scraped = Scraped(up)
        scraped.becomes(lambda age: age >= 0, "payments_audit_age_seconds")
        scraped.becomes(0, "payments_consumer_lag_messages")
        # What has a value only once something has happened, with the labels that it then has.
        eventful = {
            "payments_operations_unfinished",
            "payments_orders_unfinished",
            "payments_dead_letters_waiting",
            "payments_reviews_open",
            "payments_inventory_calls_total",
            "payments_inventory_call_seconds",
        }
        # Nobody has said a secret for webhooks, so it takes none.
        expected = {metric.name for metric in METRICS if metric.by is not By.WEBHOOKS} - eventful
        missing = expected - scraped.names()
        assert missing == set()
        assert up.stop() == 0


def test_a_stopped_relay_shows_in_depth_and_age_of_the_outbox(tmp_path: Path, deployment: dict[str, str]) -> None:
    with (
        started(tmp_path, "consume", "OrderConfirmed", **deployment, **ON) as consumer,
        started(tmp_path, "sweep", **deployment, **ON) as sweep,
    ):
        scraped = Scraped(sweep)
        publish(tmp_path, deployment, confirmed("order-1"))
        consumer.eventually(lambda: status_of(deployment, "order-1") == "payment_authorized", "authorized")
        scraped.becomes(1, "payments_outbox_messages")
        scraped.becomes(lambda age: age > 0.2, "payments_outbox_oldest_age_seconds")
        scraped.becomes(1, "payments_orders_unfinished", status="payment_authorized", waits_for="us")
        scraped.becomes(lambda age: age > 0.2, "payments_order_unfinished_oldest_age_seconds", waits_for="us")
        with started(tmp_path, "relay", **deployment, **ON) as relay:
            Scraped(relay).becomes(1, "payments_published_messages_total")
            scraped.becomes(0, "payments_outbox_messages")
            scraped.becomes(0, "payments_outbox_oldest_age_seconds")


def test_lag_is_told_in_messages_and_seconds_also_of_a_group_without_members(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    group = {"group": deployment["PAYMENTS_TOPIC_PREFIX"] + "payments.authorize_payment"}
    with started(tmp_path, "sweep", **deployment, **ON) as sweep:
        scraped = Scraped(sweep)
        scraped.becomes(0, "payments_consumer_lag_messages", **group)
        publish(tmp_path, deployment, confirmed("order-1"), confirmed("order-2"), confirmed("order-3"))
        scraped.becomes(3, "payments_consumer_lag_messages", **group)
        scraped.becomes(lambda age: 0.2 < age < 60, "payments_consumer_lag_seconds", **group)
        with started(tmp_path, "consume", "OrderConfirmed", **deployment, **ON):
            scraped.becomes(0, "payments_consumer_lag_messages", **group)
            scraped.becomes(0, "payments_consumer_lag_seconds", **group)


def test_what_waits_in_the_database_is_told(tmp_path: Path, deployment: dict[str, str]) -> None:
    payments(tmp_path, "stock", "set", "tea", "10", **deployment)
    with started(tmp_path, "up", **deployment, **ON) as up:
        scraped = Scraped(up)
        publish(tmp_path, deployment, confirmed("order-1"))
        scraped.becomes(1, "payments_orders_total", outcome="paid_and_confirmed")
        run(
            deployment,
            "UPDATE orders SET status = 'manual_review', reviewed = 'paid_and_confirmed', review_reason = 'stuck'",
            "INSERT INTO review (order_id) VALUES ('order-1')",
            "UPDATE operation SET state = 'unknown', unknown_since = now() - interval '1 hour' WHERE kind = 'capture'",
            "INSERT INTO quarantine (kind, order_id, detail, trace) VALUES ('order', 'x', 'd', 't')",
        )
        scraped.becomes(1, "payments_reviews_open", reason="stuck")
        scraped.becomes(1, "payments_operations_unfinished", operation="capture", state="unknown")
        scraped.becomes(lambda age: age >= 3600, "payments_operation_unknown_oldest_age_seconds")
        scraped.becomes(1, "payments_quarantine_waiting", kind="order")


def test_a_broken_order_is_found_when_it_has_changed_and_the_finding_goes_when_it_is_mended(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    payments(tmp_path, "stock", "set", "tea", "10", **deployment)
    with started(tmp_path, "up", **deployment, **{**ON, "PAYMENTS_AUDIT_INTERVAL_S": "3600"}) as up:
        scraped = Scraped(up)
        scraped.becomes(1, "payments_audit_holds")
        publish(tmp_path, deployment, confirmed("order-1"), confirmed("order-2"))
        scraped.becomes(2, "payments_orders_total", outcome="paid_and_confirmed")
        run(deployment, "UPDATE attempt SET captured_minor = captured_minor + 1 WHERE order_id = 'order-1'")
    with started(tmp_path, "sweep", **deployment, **ON) as sweep:
        scraped = Scraped(sweep)
        scraped.becomes(0, "payments_audit_holds")
        assert (scraped.value("payments_audit_violations", invariant="1") or 0) >= 1
        assert scraped.value("payments_audit_violations", invariant="5") == 0
        scraped.becomes(1, "payments_alarms_total", reason="audit_broken")
        sweep.await_line("order order-1")
        run(deployment, "UPDATE attempt SET captured_minor = captured_minor - 1 WHERE order_id = 'order-1'")
        scraped.becomes(1, "payments_audit_holds")
        assert scraped.value("payments_alarms_total", reason="audit_broken") == 1


def test_the_alarm_of_a_process_that_ends_with_a_bug_is_in_one_more_scrape(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    run(
        deployment,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    with started(tmp_path, "consume", "OrderConfirmed", **deployment, **ON, PAYMENTS_QUARANTINE_MAX="1") as consumer:
        scraped = Scraped(consumer)
        consumer.await_line('"running"')
        publish(tmp_path, deployment, *(confirmed(f"order-{number}") for number in range(3)))
        consumer.await_line('"bug"')
        code, document = probe(consumer, "/ready")
        assert (code, document["ready"]) == (503, False), "who replaces processes must not take it for one that works"
        assert scraped.value("payments_alarms_total", reason="bug") == 1
        assert consumer.wait() == 1


def test_webhooks_are_counted_by_what_became_of_them(tmp_path: Path, deployment: dict[str, str]) -> None:
    secret = {"PAYMENTS_STRIPE_WEBHOOK_SECRET": SECRET, "PAYMENTS_WEBHOOKS_LISTEN": "127.0.0.1:0"}
    with started(tmp_path, "webhooks", **deployment, **ON, **secret) as process:
        process.await_line("listening for webhooks")
        (line,) = (json.loads(line) for line in process.log.splitlines() if "listening for webhooks" in line)
        body = json.dumps(event(1, "order-1", "pi_1")).encode()
        old = header(body, at_s=now_s() - 3_600)
        for sent, signature in (
            (body, header(body)),
            (body, header(body, "whsec_other")),
            (body, old),
            (b"{", header(b"{")),
            (b" " * (BODY_MAX + 1), "t=1,v1=00"),
        ):
            httpx.post(
                f"http://{line['address']}{line['path']}",
                content=sent,
                headers={"Stripe-Signature": signature},
                trust_env=False,
            )
        scraped = Scraped(process)
        assert {came: scraped.value("payments_webhooks_total", outcome=came.value) for came in Came} == {
            **dict.fromkeys(Came, 0),
            **dict.fromkeys((Came.KEPT, Came.FORGED, Came.TOO_OLD, Came.UNREADABLE, Came.TOO_LARGE), 1),
        }
