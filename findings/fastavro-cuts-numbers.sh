#!/usr/bin/env bash
# 2026-11-30. fastavro 1.13.1: the writer cuts a number to a whole one, and writes true as 1, where the schema says long.
#
# Expected: a value that is no whole number is refused where the schema has a long, as text is.
# Seen: schemaless_writer takes 14.5 for a long and writes 14, and takes True and writes 1. Neither strict nor
# strict_allow_default changes it. A price that was computed as a fraction is published as a smaller one, without a word.
# validate() of the same package refuses both, but no writer calls it unless it is asked to (writer() has an argument, and
# schemaless_writer has none).
# Fails when the writer refuses one of the two, or when validate() takes one.
# Needs python3.11 or newer.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check fastavro==1.13.1
"$work/venv/bin/python" - <<'PY'
import io
import sys

import fastavro
from fastavro.validation import validate

field = {"name": "total_minor", "type": "long"}
schema = fastavro.parse_schema({"type": "record", "name": "Order", "fields": [field]})
as_seen = True
for given, written in ((14.5, 14), (True, 1)):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, {"total_minor": given}, strict=True)
    out.seek(0)
    read = fastavro.schemaless_reader(out, schema, None)["total_minor"]
    valid = validate({"total_minor": given}, schema, raise_errors=False)
    print(f"fastavro {fastavro.__version__}: {given!r} is written as {read!r}; validate() says {valid}")
    as_seen = as_seen and read == written and valid is False
sys.exit(0 if as_seen else 1)
PY
