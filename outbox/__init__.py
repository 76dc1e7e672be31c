"""What is kept and what is still to send: tables, migrations, the unit of work, the relay, the audit's queries.

The unit of work (`outbox.store`) is the only place that opens a transaction. Never here: a rule of payment,
a call to the outside world.
"""
