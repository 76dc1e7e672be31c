"""The settings by section: each with its type, default, bounds and meaning. The unit stands in the name."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from schemas.fields import LARGEST_EVENT_BYTES

GatewayKind = Literal["stripe", "sandbox", "simulated"]
InventoryKind = Literal["internal", "http"]
TracesKind = Literal["off", "otlp"]
NotifierKind = Literal["log", "smtp", "webhook"]
SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"]
LISTEN = r"^([^\s:]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}$"
Seconds = Annotated[float, Field(gt=0, le=30 * 86400, allow_inf_nan=False)]


class Section(BaseModel):
    """What all sections share: frozen, and no other names. Only the class of all settings is ever built."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True, defer_build=True
    )


class Places(Section):
    """Where PostgreSQL, Kafka and the schema registry are."""

    database_url: SecretStr | None = Field(
        None, description="PostgreSQL, as postgresql://user:password@host:port/database; several as host:port,host:port"
    )
    database_direct_url: SecretStr | None = Field(
        None, description="PostgreSQL past a pooler, for relay and upkeep; none: as PAYMENTS_DATABASE_URL"
    )
    database_pool: int = Field(10, ge=1, le=500, description="connections a process may open")
    kafka_bootstrap_servers: str | None = Field(None, description="Kafka brokers, as host:port[,host:port]")
    schema_registry_url: str | None = Field(
        None,
        pattern=r"^https?://",
        repr=False,
        description="Confluent-compatible registry; none: schemas by fingerprint",
    )
    schema_registry_login: SecretStr | None = Field(None, description="user:password at the registry, if it wants one")
    schema_registry_cafile: Path | None = Field(
        None, description="certificates to trust of an https:// registry (PEM); none: those that Python brings"
    )
    data: Path = Field(Path(".payments"), description="folder of the embedded servers")


class Security(Section):
    """How Kafka's connections are secured, and who logs in."""

    kafka_security_protocol: SecurityProtocol = Field("PLAINTEXT", description="how to speak to the brokers")
    kafka_ssl_cafile: Path | None = Field(None, description="certificates to trust (PEM); none: the system's")
    kafka_ssl_certfile: Path | None = Field(
        None, description="our certificate, and its issuers' (PEM); none: we show none"
    )
    kafka_ssl_keyfile: Path | None = Field(None, description="its key (PEM); none: it stands in the certificate's file")
    kafka_ssl_key_password: SecretStr | None = Field(None, description="of that key, if it is encrypted")
    kafka_sasl_mechanism: SaslMechanism = Field("SCRAM-SHA-512", description="how to log in, with SASL_*")
    kafka_sasl_username: str | None = Field(None, description="who logs in, with PLAIN and SCRAM")
    kafka_sasl_password: SecretStr | None = Field(None, description="password of that user")
    kafka_oauth_token_url: str | None = Field(
        None, pattern=r"^https?://", repr=False, description="where OAUTHBEARER gets tokens, by client credentials"
    )
    kafka_oauth_client_id: str | None = Field(None, description="who asks there")
    kafka_oauth_client_secret: SecretStr | None = Field(None, description="that client's secret")
    kafka_oauth_scope: str | None = Field(None, description="scope that is asked for; none: the endpoint's own")
    kafka_oauth_cafile: Path | None = Field(
        None, description="certificates to trust of the token endpoint (PEM); none: the system's"
    )
    kafka_oauth_token_file: Path | None = Field(
        None, description="a file with the token, in place of the endpoint; somebody renews it"
    )
    kafka_aws_region: str | None = Field(
        None, pattern=r"^[a-z0-9-]+$", description="of the MSK cluster, with AWS_MSK_IAM (extra `msk`)"
    )


class Topics(Section):
    """How topics are named and made."""

    topic_prefix: str = Field(
        "", max_length=100, pattern=r"^[A-Za-z0-9._-]*$", description="stands before every topic's name"
    )
    topic_partitions: int = Field(
        12, ge=1, le=1000, description="partitions of a topic that is created; fewer are logged at start"
    )
    topic_replication_factor: int = Field(
        3, ge=1, le=9, description="copies of a topic that is created; fewer are logged at start"
    )


class Gateway(Section):
    """Who moves the money, and how."""

    gateway: GatewayKind | None = Field(None, description="who moves the money: stripe, sandbox or simulated")
    stripe_api_key: SecretStr | None = Field(None, description="secret or restricted key")
    stripe_api_base: str | None = Field(None, description="the API's address; none: Stripe's, or the sandbox's own")
    gateway_concurrency: int = Field(64, ge=1, le=10_000, description="calls in flight, a process")
    gateway_connect_timeout_s: Seconds = Field(5, description="until a connection stands")
    gateway_timeout_s: Seconds = Field(20, description="until an answer; afterwards the outcome is unknown")
    simulated_latency_ms: float = Field(
        50, ge=0, le=60_000, allow_inf_nan=False, description="of the simulated gateway's answers"
    )
    statement_suffix: str | None = Field(
        None,
        description="text that a card's statement shows behind the account's own: literal text with {order_id}; Stripe "
        "shows 22 characters of both; none: only the account's",
    )
    description: str | None = Field(
        None, description="of a payment, in Stripe's dashboard: literal text with {order_id}; none: none"
    )
    return_url: str | None = Field(
        None,
        description="where customers come back to from their bank: a URL with {order_id}; none: none is sent there",
    )
    sandbox_listen: str = Field(
        "127.0.0.1:12111", pattern=LISTEN, description="host:port of the sandbox alone; port 0: any free"
    )
    sandbox_pending_s: Seconds = Field(2, description="until a pending refund of the sandbox succeeds")
    stripe_webhook_secret: SecretStr | None = Field(
        None, description="of the webhooks; two, with a comma, to change it"
    )
    webhook_tolerance_s: Seconds = Field(300, description="how far a webhook's time-stamp may be from our clock")
    webhooks_listen: str = Field("127.0.0.1:12112", pattern=LISTEN, description="host:port of the webhook endpoint")


class Operations(Section):
    """How calls are tried, awaited and given up."""

    operations_open_max: int = Field(4000, ge=1, le=1_000_000, description="open operations at which consuming pauses")
    lease_s: Seconds = Field(60, description="an operation belongs to the process that took it")
    backoff_min_s: Seconds = Field(1, description="before the first further try")
    backoff_max_s: Seconds = Field(300, description="between tries, at the most")
    tries_max: int = Field(20, ge=1, le=1000, description="calls that were turned away before an operator is asked")
    unknown_retry_s: Seconds = Field(5, description="between look-ups of an unknown outcome")
    unknown_give_up_s: Seconds = Field(82_800, description="an outcome unknown for so long goes to an operator")
    delayed_notice_s: Seconds = Field(900, description="until the customer is told that payment takes longer")
    action_timeout_s: Seconds = Field(1_800, description="a customer may confirm a payment with their bank for so long")
    pending_hold_s: Seconds = Field(
        604_800, description="a bank may process a payment for so long; then the order fails, and late money goes back"
    )
    cancel_window_s: Seconds = Field(1_800, description="a paid order may be cancelled for so long")
    early_wait_s: Seconds = Field(
        900, description="a message waits so long for the order that it is about; then it is a dead letter"
    )
    sweep_interval_s: Seconds = Field(1, description="between looks for due and lapsed work")
    refund_recheck_s: Seconds = Field(86_400, description="between looks for refunds that failed after all")


class Telling(Section):
    """How customers are told."""

    notifier: NotifierKind = Field("log", description="how customers are told: log (nobody is told), smtp or webhook")
    smtp_url: SecretStr | None = Field(
        None,
        description="mail server: smtp://user:password@host:port (with STARTTLS) or smtps://...; ?starttls=never and "
        "?cafile=FILE change that",
    )
    smtp_from: str | None = Field(None, description="sender of mails, as Shop <no-reply@shop.example>")
    notifier_templates: Path | None = Field(None, description="folder of the shop's own texts; none: ours, in English")
    notifier_webhook_url: str | None = Field(
        None, pattern=r"^https?://", repr=False, description="where messages to customers are posted, with webhook"
    )
    notifier_webhook_secret: SecretStr | None = Field(
        None, description="signs them: whsec_...; two, with a comma, to change it"
    )
    customer_directory: str | None = Field(
        None,
        repr=False,
        description="who knows the customers' addresses, with smtp: https://.../{customer_id}, or a CSV or JSON lines "
        "file",
    )


class Inventory(Section):
    """Where stock is kept."""

    inventory: InventoryKind = Field("internal", description="where stock is kept: internal (our database) or http")
    inventory_url: str | None = Field(
        None,
        repr=False,
        description="the external inventory's address, with http: it serves deploy/contracts/inventory.openapi.yaml; "
        "none: a sandbox's own",
    )
    inventory_timeout_s: Seconds = Field(
        10, description="until the external inventory's answer, connecting included; afterwards the outcome is unknown"
    )
    inventory_token: SecretStr | None = Field(None, description="bearer token of the external inventory; none: none")
    reservation_ttl_s: Seconds = Field(900, description="a hold on goods lapses")


class RulesOfOrders(Section):
    """What an order may be."""

    retry_window_s: Seconds = Field(86_400, description="after a failure, another method is accepted")
    attempts_max: int = Field(5, ge=1, le=100, description="attempts of an order")
    order_max_age_s: Seconds = Field(82_800, description="an older OrderConfirmed is not paid any more")
    amount_max_minor: str | None = Field(
        None,
        coerce_numbers_to_str=True,
        description="the largest total that is accepted: a number for all currencies, or EUR=200000000,IDR=...; "
        "a currency that is not named: about a million euros",
    )
    four_eyes_minor: str | None = Field(
        None,
        coerce_numbers_to_str=True,
        description="a second person approves what brings an order's refunds above this sum: a number for all "
        "currencies, or EUR=10000,...; none: nobody must",
    )
    message_bytes_max: int = Field(1_000_000, ge=1000, le=10_000_000, description="of a message that is read")
    unpacked_bytes_max: int = Field(
        64 << 20, ge=10_000, le=1 << 30, description="of a batch of messages once unpacked; more is unreadable"
    )
    # Never below the largest event of an accepted order, or the order could not be written.
    event_bytes_max: int = Field(
        1_000_000, ge=LARGEST_EVENT_BYTES, le=10_000_000, description="of an event that is written, 300000 at least"
    )
    # The inbox has partitions for three days ahead: every accepted event needs one.
    clock_skew_max_s: float = Field(
        300,
        gt=0,
        le=86_400,
        allow_inf_nan=False,
        description="an event from further in the future is refused; a day at most",
    )
    quarantine_max: int = Field(
        20, ge=1, le=10_000, description="messages in ten minutes that may raise; one more stops the process"
    )
    dead_letter_token_days: int = Field(
        7, ge=1, le=90, description="a dead letter keeps its payment token; afterwards it cannot be redriven"
    )
    inbox_retention_days: int = Field(14, ge=2, le=365, description="duplicates are recognised for so long")


class Runtime(Section):
    """Batches, queues and the log."""

    batch_max: int = Field(500, ge=1, le=10_000, description="messages in a transaction")
    batches_in_flight_max: int = Field(4, ge=1, le=64, description="batches whose answers are outstanding")
    linger_ms: float = Field(5, ge=0, le=1000, allow_inf_nan=False, description="to let a batch fill up")
    drain_timeout_s: Seconds = Field(20, description="to finish calls after SIGTERM")
    relay_batch: int = Field(2000, ge=1, le=50_000, description="messages sent at a time")
    relay_lease_s: float = Field(
        10, ge=2, le=600, allow_inf_nan=False, description="a frozen relay is replaced; half of it is Kafka's to answer"
    )
    relay_poll_s: Seconds = Field(1, description="between looks at the outbox without a wake-up")
    log_format: Literal["console", "json"] = Field("console", description="of the log on stderr")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="the least that is logged")


class Watching(Section):
    """What a process tells of itself, and the audit of changed orders."""

    metrics_listen: str | None = Field(
        None, pattern=LISTEN, description="host:port for Prometheus, path /metrics; port 0: any free; none: off"
    )
    metrics_interval_s: Seconds = Field(15, description="between looks of the sweep at what database and Kafka know")
    health_listen: str | None = Field(
        None, pattern=LISTEN, description="host:port for probes: /live, /ready, /started; port 0: any free; none: off"
    )
    traces: TracesKind = Field(
        "off",
        description="otlp: to the collector at OTEL_EXPORTER_OTLP_ENDPOINT (extra `traces`); off: nowhere",
    )
    otel_sample: float = Field(
        0.1, ge=0, le=1, allow_inf_nan=False, description="share of the traces that begin with us, from 0 to 1"
    )
    audit_interval_s: Seconds = Field(300, description="between audits of the orders that changed, by a sweep")
