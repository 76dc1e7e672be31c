"""The alerts on a running pipeline: each cause is made in real processes and servers, and a real Prometheus watches.

All times of the rules are a sixtieth of what they are in production (`deploy.alerts.table.groups`), and so are the
intervals at which a sweep looks and audits.
"""
