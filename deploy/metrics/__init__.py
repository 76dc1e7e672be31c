"""What a process tells Prometheus and Kubernetes about itself: its numbers, and whether it lives and is ready.

What belongs here: the declared table of all metrics, how they are counted, and the servers that answer scrapes and
probes. What never will: a question to the database or to Kafka (`deploy.observing` asks both), or a rule of payments.
"""
