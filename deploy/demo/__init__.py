"""The demo: the whole pipeline on servers of its own, orders of every kind, and a check how each ended.

What belongs here: the script of orders and how each must end, the servers, and the report. What never will: a rule of
payment. A demo knows how an order must end, not why; it reads only what any other program could read.
"""
