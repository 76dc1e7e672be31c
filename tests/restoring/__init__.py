"""The drill of deploy/RESTORE.md: a database restored under load, a Kafka that has lost its disk (README.md)."""
