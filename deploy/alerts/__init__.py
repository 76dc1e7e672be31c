"""What Prometheus watches, what Grafana shows, and what to do when something rings: declared here, written as files.

What belongs here: the table of alerts, the pages of runbooks, the panels of the dashboard. What never will: a number
that is measured; those are declared in `deploy/metrics`. `python -m tests.alerts --write` writes the files.
"""
