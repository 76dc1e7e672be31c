"""The command `payments`: one file a command, each loaded when it is asked for.

What belongs here: options, printing, exit codes (0 done, 1 the answer is no, 2 usage or settings, 3 a service is not
reached). What never will: what the commands do; they call the packages below.
"""

import click

from deploy.cli.group import Command, LazyGroup

COMMANDS = (
    Command("demo", "deploy.cli.demo:demo", "the whole pipeline on servers of its own, played and checked"),
    Command("up", "deploy.cli.up:up", "all roles in one process; --embedded: with servers", lasts=True),
    Command("embedded", "deploy.cli.embedded:embedded", "PostgreSQL, Kafka and the gateway sandbox"),
    Command("consume", "deploy.cli.consume:consume", "the consumers of these triggers, or all", lasts=True),
    Command("relay", "deploy.cli.relay:relay", "from the outbox to Kafka", lasts=True),
    Command("sweep", "deploy.cli.sweep:sweep", "due and unknown operations, lapsed leases, expiries", lasts=True),
    Command("webhooks", "deploy.cli.webhooks:webhooks", "the endpoint for the gateway's webhooks", lasts=True),
    Command("migrate", "deploy.cli.migrate:migrate", "database schema to head"),
    Command("topics", "deploy.cli.topics:topics", "Kafka topics: create, compare, mend"),
    Command("schemas", "deploy.cli.schemas:schemas", "contracts: list, check, register"),
    Command("contract", "deploy.cli.contract:contract", "the contract for other teams: pages, AsyncAPI 3, JSON"),
    Command("publish", "deploy.cli.publish:publish", "publish events from JSON lines, as checkout would"),
    Command("stock", "deploy.cli.stock:stock", "internal inventory: set, show, import, adjust"),
    Command("order", "deploy.cli.order:order", "orders: show, list, resolve, cancel, refund, approve"),
    Command("dlq", "deploy.cli.dlq:dlq", "dead letters: list, show, redrive, give up, pass over"),
    Command("offsets", "deploy.cli.offsets:offsets", "where our consumers stand on the topics; set them back"),
    Command("journal", "deploy.cli.journal:journal", "what we published: send it again after a topic was lost"),
    Command("messages", "deploy.cli.messages:messages", "messages to customers: list, have them tried again"),
    Command("audit", "deploy.cli.audit:audit", "the invariants of the whole pipeline"),
    Command("reconcile", "deploy.cli.reconcile:reconcile", "our books beside the gateway's, or the inventory's"),
    Command("replay", "deploy.cli.replay:replay", "topics as files for analysts: Parquet or JSON lines"),
    Command("choreography", "deploy.cli.choreography:choreography", "topics, reactions, and every row of both tables"),
    Command("sandbox", "deploy.cli.sandbox:sandbox", "the gateway sandbox alone"),
    Command("inventory-sandbox", "deploy.cli.inventory_sandbox:inventory_sandbox", "the external inventory's stand-in"),
    Command("config", "deploy.cli.config:config", "the settings in force, secrets masked"),
)


@click.version_option(package_name="payments", message="%(prog)s %(version)s")
@click.group(cls=LazyGroup, commands_table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Payments: a confirmed order becomes Paid & Confirmed, or Payment Failed with the money back.

    Settings come from the environment (PAYMENTS_...), a .env file, or an embedded run that lies here.
    Exit codes: 0 done, 1 the answer is no, 2 wrong usage or settings, 3 a service it needs cannot be reached.
    """


__all__ = ["COMMANDS", "main"]
