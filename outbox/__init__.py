"""What is kept and what is still to send: tables, migrations, the unit of work, the relay, the audit's queries.

Only the unit of work (`outbox.store`) opens a transaction that may change an order. Never here: a rule of payment, a
call to the outside world.
"""
