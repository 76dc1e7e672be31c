/** What the programs take from the environment. A variable that is missing or wrong ends them with 2, and one line. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const WRONG_SETTING = 2;

/** Return the addresses of the brokers. */
export function kafka() {
  return needed('KAFKA_BOOTSTRAP_SERVERS', 'the addresses of the brokers, as host:port,host:port').split(',');
}

/** Return the address of the subscriber's own database. */
export function database() {
  const like = 'your own database, as postgresql://user:password@host:port/database';
  const url = needed('DATABASE_URL', like);
  if (!/^postgres(ql)?:\/\//.test(url)) {
    end(`DATABASE_URL is no address of PostgreSQL: set it to ${like}`);
  }
  return url;
}

/** Return the folder of the schemas of `payments`. */
export function schemas() {
  const folder = process.env.SCHEMAS || 'schemas';
  const avro = join(folder, 'avro');
  if (!existsSync(avro) || !readdirSync(avro).some((name) => name.endsWith('.avsc'))) {
    end(`SCHEMAS: there are no schemas in ${avro}: copy schemas/avro and schemas/released into ${folder}`);
  }
  return folder;
}

/** Return a time in milliseconds. */
export function milliseconds(name, byDefault) {
  const text = process.env[name] || String(byDefault);
  if (!/^\d+$/.test(text) || Number(text) === 0) {
    end(`${name} is '${text}': set it to a whole number of milliseconds above 0`);
  }
  return Number(text);
}

function needed(name, like) {
  const text = process.env[name];
  if (!text) {
    end(`${name} is not set: set it to ${like}`);
  }
  return text;
}

function end(text) {
  console.error(text);
  process.exit(WRONG_SETTING);
}
