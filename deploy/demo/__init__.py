"""The demo: the whole pipeline on servers of its own, orders of every kind, and whether each ended as it must.

What belongs here: the script of orders with how each must end, the stage they are played on, and the telling of it.
What never will: a rule of payment. A demo knows what must come out and not how; it looks at what any neighbour sees.
"""
