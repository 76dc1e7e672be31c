"""Adapters that tell customers: by the log, by mail, by a webhook of the shop; and who knows the customers' addresses.

What belongs here: how a message is written, signed and handed over, and what the receiver's answer means. What never
will: when a message is sent or tried again, and an address in a log, an error or a table.
"""

from consumers.adapters.notifier.log import LogNotifier, QuietNotifier

__all__ = ["LogNotifier", "QuietNotifier"]
