"""`payments order`: where an order stands, how it came there, and what an operator does about it. A file a command."""

import click

from deploy.cli.group import Command, LazyGroup

COMMANDS = (
    Command("show", "deploy.cli.order_show:show", "where one order stands, and its timeline"),
    Command("list", "deploy.cli.order_list:list_", "the orders that changed last"),
    Command("resolve", "deploy.cli.order_resolve:resolve", "settle an order that waits for a person"),
    Command("close-notices", "deploy.cli.order_notices:close_notices", "end the alarm about what the gateway told"),
    Command("cancel", "deploy.cli.order_cancel:cancel", "cancel an order, with the money back"),
    Command("refund", "deploy.cli.order_refund:refund", "give money of a paid order back"),
    Command("approve", "deploy.cli.order_refund:approve", "say yes, as a second person, to a request"),
)


@click.group(cls=LazyGroup, commands_table=COMMANDS)
def order() -> None:
    """Look at orders, settle those that wait for a person, cancel one, and give money back."""


__all__ = ["COMMANDS", "order"]
