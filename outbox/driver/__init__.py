"""How we talk to PostgreSQL: connections, the meaning of its errors, statements over many rows in its binary form.

What belongs here: what would be the same with other tables. Never here: the name of a table, a rule of payment.
"""
