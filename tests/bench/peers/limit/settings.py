"""What can be set (LIMIT_...), and which variant runs."""

import os

from tests.bench.peers import common

BATCH = int(os.environ.get("LIMIT_BATCH", "1000"))
LINGER_S = float(os.environ.get("LIMIT_LINGER_MS", "2")) / 1000
LINGER_FROM = 32
"""Messages from which a batch waits for more: under load it grows, a lone order does not wait."""
IN_FLIGHT = int(os.environ.get("LIMIT_IN_FLIGHT", "4"))
RELAY_BATCH = int(os.environ.get("LIMIT_RELAY_BATCH", "3000"))
RELAY_LINGER_MS = float(os.environ.get("LIMIT_RELAY_LINGER_MS", "5"))
NOTIFY = os.environ.get("LIMIT_NOTIFY", "1") == "1"
STATS = os.environ.get("LIMIT_STATS")
# The first plans are made, and cached, while the tables are empty. With a hash or nested loop around a scan of the
# table every later batch is linear in the table or quadratic (measured: 10 to 15 times slower), so only "index lookup
# per array element" is left.
PG_OPTIONS = os.environ.get("LIMIT_PGOPT", "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off")
AVRO, REACTIONS = "avro" in common.VARIANT, "reactions" in common.VARIANT
