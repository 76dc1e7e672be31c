#!/usr/bin/env bash
# 2026-11-29. avro 1.12.1 and fastavro 1.13.1 disagree on the fingerprint of one valid schema.
#
# Expected: CRC-64-AVRO is taken over the Parsing Canonical Form, so two libraries name one schema by one number. A
# reader that looks schemas up by fingerprint (single-object encoding) depends on it.
# Seen: Apache's avro for Python reduces {"type": "string"} to "string" only where nothing else stands in the object.
# Where a logicalType stood, it drops the attribute and leaves {"type":"long"}. The specification (Parsing Canonical
# Form, step PRIMITIVES) wants "long". fastavro does that. So a message that names its schema by avro's fingerprint is of an
# unknown schema for everybody else, as soon as one field is a timestamp or a uuid.
# Fails when either library changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check avro==1.12.1 fastavro==1.13.1
"$work/venv/bin/python" - <<'PY'
import json

import avro.schema
import fastavro.schema

PLAIN = {"type": "record", "name": "A", "fields": [{"name": "at", "type": "long"}]}
LOGICAL = {
    "type": "record",
    "name": "A",
    "fields": [{"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}}],
}


def forms(schema):
    """Return (canonical form, CRC-64-AVRO as hex) by each library."""
    by_avro = avro.schema.parse(json.dumps(schema))
    form = fastavro.schema.to_parsing_canonical_form(schema)
    return (
        (by_avro.canonical_form, by_avro.fingerprint("CRC-64-AVRO").hex()),
        (form, fastavro.schema.fingerprint(form, "CRC-64-AVRO")),
    )


for name, schema in (("plain long", PLAIN), ("timestamp-micros", LOGICAL)):
    for library, (form, fingerprint) in zip(("avro", "fastavro"), forms(schema)):
        print(f"{name:17} {library:9} {fingerprint} {form}")

plain_avro, plain_fast = forms(PLAIN)
logical_avro, logical_fast = forms(LOGICAL)
assert plain_avro[1] == plain_fast[1] == logical_fast[1], "without a logical type all agree"
assert logical_avro[1] != logical_fast[1], "avro now names the schema as others do"
assert '{"type":"long"}' in logical_avro[0].replace(" ", ""), "avro's form has changed"
print("as described")
PY
