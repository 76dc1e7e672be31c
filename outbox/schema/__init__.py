"""What the database is: tables and their columns, migrations, the inbox's days, what each process's user may do.

What belongs here: what the database is made and checked by, and how values become rows. Never here: a transaction that
keeps an order.
"""
