"""The short end-to-end form on every version that we support: of Kafka, of PostgreSQL and of Python."""
