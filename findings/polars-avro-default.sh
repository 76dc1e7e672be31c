#!/usr/bin/env bash
# 2026-11-30. polars 2.1.0 reads no Avro file whose schema gives a number, a text, an enum or a boolean a default.
#
# Expected: `read_avro` reads any valid Avro container file, or names the type that it cannot show. A default is no type:
# it says what a reader takes for a field that a writer's older schema did not have (Avro's specification, Schema
# Resolution), and a file of the very schema never needs it.
# Seen: with `"default": 0` on a long, for example, the file is refused as out of specification ("avro-error: OutOfSpec").
# The same file without the default is read; so is one whose default is null or an empty list. fastavro reads all of
# them. Schemas that grow by fields with defaults, as those of event topics do, are refused.
# Fails when that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0 fastavro==1.13.1
"$work/venv/bin/python" - <<'PY'
import io

import fastavro
import polars

CASES = {
    "long": ({"name": "a", "type": "long"}, 7, True),
    "long, default 0": ({"name": "a", "type": "long", "default": 0}, 7, False),
    "boolean, default false": ({"name": "a", "type": "boolean", "default": False}, True, False),
    "double, default 0.5": ({"name": "a", "type": "double", "default": 0.5}, 1.5, False),
    "string, default empty": ({"name": "a", "type": "string", "default": ""}, "x", False),
    "nullable, default null": ({"name": "a", "type": ["null", "string"], "default": None}, "x", True),
    "list, default empty": ({"name": "a", "type": {"type": "array", "items": "long"}, "default": []}, [1], True),
}

for name, (field, value, readable) in CASES.items():
    file = io.BytesIO()
    fastavro.writer(file, {"type": "record", "name": "A", "fields": [field]}, [{"a": value}])
    file.seek(0)
    assert list(fastavro.reader(file)) == [{"a": value}], name
    file.seek(0)
    try:
        seen = polars.read_avro(file).to_dicts()
    except Exception as error:
        seen = f"{type(error).__name__}: {error}".splitlines()[0]
    print(f"{name:24} {seen}")
    assert (seen == [{"a": value}]) is readable, name
print("as described")
PY
