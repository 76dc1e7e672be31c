"""How we speak with PostgreSQL: connections, what its errors mean, statements over many rows in its binary form.

What belongs here: what would be the same with other tables. Never here: the name of a table, a rule of payment.
"""
