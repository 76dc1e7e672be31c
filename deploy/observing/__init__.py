"""What a sweep observes besides its work: the numbers that database and Kafka know, and the audit of changed orders.

What belongs here: how often it looks, what it does when a server does not answer. What never will: a change of an
order.
"""
