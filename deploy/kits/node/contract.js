/** Reads and writes the events of `payments`: Avro in single-object encoding. Longs are BigInt. */

import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import avro from 'avsc';

const HEAD_BYTES = 10;
const MARK = Buffer.from([0xc3, 0x01]);

// avsc's own longs are numbers: beyond 2^53 it throws.
const long = avro.types.LongType.__with({
  fromBuffer: (bytes) => bytes.readBigInt64LE(),
  toBuffer: (value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    return bytes;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value) => typeof value === 'bigint' && BigInt.asIntN(64, value) === value,
  compare: (one, other) => (one < other ? -1 : one > other ? 1 : 0),
});
const typeHook = (schema) => (schema === 'long' || schema.type === 'long' ? long : undefined);

/** The schemas of `payments` in a folder: `avro/` has today's, `released/` those of older releases. */
export class Contract {
  #today = new Map();
  #writers = new Map();

  constructor(folder) {
    for (const file of avscFiles(join(folder, 'avro'))) {
      this.#today.set(basename(file, '.avsc'), read(file));
    }
    if (this.#today.size === 0) {
      throw new Error(`no schemas in ${folder}/avro: copy schemas/avro and schemas/released there`);
    }
    // An event may have been written by an older release, or by a newer one whose schemas were copied here first.
    for (const file of avscFiles(folder)) {
      const { type, head } = read(file);
      this.#writers.set(head.toString('hex'), type);
    }
  }

  /** Return the body of an event. Throws when a field is missing, unknown or of another type. */
  encode(name, event) {
    const { type, head } = this.#today.get(name);
    type.isValid(event, {
      noUndeclaredFields: true,
      errorHook: (path, value) => {
        throw new TypeError(`${name}: ${path.join('.')} is wrong or unknown (${typeof value})`);
      },
    });
    return Buffer.concat([head, type.toBuffer(event)]);
  }

  /** Return the event in a body, in today's form. Throws when no schema here has the fingerprint, or bytes are left over. */
  decode(name, body) {
    const reader = this.#today.get(name).type;
    const writer = this.#writers.get(body.subarray(0, HEAD_BYTES).toString('hex'));
    if (writer === undefined || writer.name !== reader.name) {
      throw new Error(`${name}: no schema here has the fingerprint ${body.subarray(2, HEAD_BYTES).toString('hex')}`);
    }
    return reader.fromBuffer(body.subarray(HEAD_BYTES), reader.createResolver(writer));
  }
}

function avscFiles(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.avsc'))
    .sort()
    .map((name) => join(folder, name));
}

function read(file) {
  const schema = JSON.parse(readFileSync(file, 'utf8'));
  // schema() is the canonical form of the specification, but only of a type without our longs.
  const canonical = JSON.stringify(avro.Type.forSchema(schema).schema());
  return { type: avro.Type.forSchema(schema, { typeHook }), head: Buffer.concat([MARK, fingerprint(canonical)]) };
}

/** Return the CRC-64-AVRO of a text, little-endian. avsc has none: its fingerprint() is MD5 or another of Node's hashes. */
function fingerprint(text) {
  let crc = EMPTY;
  for (const byte of Buffer.from(text, 'utf8')) {
    crc = (crc >> 8n) ^ TABLE[Number((crc ^ BigInt(byte)) & 0xffn)];
  }
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(crc);
  return bytes;
}

const EMPTY = 0xc15d213aa4d7a795n;
const TABLE = Array.from({ length: 256 }, (_, index) => {
  let crc = BigInt(index);
  for (let bit = 0; bit < 8; bit += 1) {
    crc = crc & 1n ? (crc >> 1n) ^ EMPTY : crc >> 1n;
  }
  return crc;
});
