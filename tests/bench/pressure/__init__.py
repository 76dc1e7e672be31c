"""What pressure does to the throughput and the cost of an order: somebody holds a snapshot, or everybody wants one SKU.

What belongs here: the pressure, the load beside it, and how both are shown. Never here: how a contestant is run.
"""
