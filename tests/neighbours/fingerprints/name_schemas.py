"""Prints how Apache's avro for Python names each schema, and writes an example of it again as a single object.

In: a line "name TAB schema TAB body in hex". Out: a line "avro TAB name TAB single object in hex". The library has no
writer of single objects, so the head is C3 01 and its own fingerprint. Runs in an environment of its own.
"""

import io
import sys

import avro.io
import avro.schema

for line in sys.stdin:
    name, text, body = line.rstrip("\n").split("\t")
    schema = avro.schema.parse(text)
    value = avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(io.BytesIO(bytes.fromhex(body))))
    out = io.BytesIO()
    avro.io.DatumWriter(schema).write(value, avro.io.BinaryEncoder(out))
    head = b"\xc3\x01" + schema.fingerprint("CRC-64-AVRO")
    sys.stdout.write(f"avro\t{name}\t{(head + out.getvalue()).hex()}\n")
