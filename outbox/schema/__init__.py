"""What the database is: tables and their columns, migrations, the inbox's days, what each process's user may do.

What belongs here: what makes and checks the database, and how values become rows. Never here: a transaction that
changes an order.
"""
