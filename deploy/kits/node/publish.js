/**
 * Publishes OrderConfirmed. Each line of standard input is an event as JSON; times are ISO 8601.
 *
 * A line comes out of the outbox of checkout: event_id and occurred_at were drawn and stored when the order was
 * confirmed. So a line that is published again is the same event, and has no effect. Prints how many events are stored.
 * Ends with an error if one was not stored: then publish the same lines again. A line that is no such event ends it with
 * 2 before any is published.
 */

import { createInterface } from 'node:readline';
import { Kafka, Partitioners, logLevel } from 'kafkajs';
import { Contract } from './contract.js';
import * as environment from './environment.js';

const EVENT = 'OrderConfirmed';
const SOURCE = '/checkout';
const TOGETHER_MAX = 500;
const BROKERS = environment.kafka();
const SCHEMAS = environment.schemas();
const TOPIC = (process.env.TOPIC_PREFIX ?? '') + EVENT;
const ALL = -1;
const WRONG_LINE = 2;

/** Return the headers of an event: CloudEvents 1.0 in Kafka's binary mode. */
function headers(event) {
  return {
    ce_specversion: '1.0',
    ce_id: event.event_id,
    ce_source: SOURCE,
    ce_type: EVENT,
    ce_time: isoTime(event.occurred_at),
    ce_subject: event.order_id,
    'content-type': 'application/avro',
  };
}

/** Return the microseconds since 1970 of a time in ISO 8601 with a zone. A Date has milliseconds only. */
function micros(text) {
  const parts = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (parts === null) {
    throw new TypeError(`${text}: must be a time with a zone, such as 2026-01-31T12:00:00.000001Z`);
  }
  const [, second, fraction = '', zone] = parts;
  return BigInt(Date.parse(second + zone)) * 1000n + BigInt(fraction.padEnd(6, '0'));
}

function isoTime(at) {
  const second = new Date(Number(at / 1000n)).toISOString().slice(0, 19);
  return `${second}.${String(at % 1000000n).padStart(6, '0')}Z`;
}

function messageOf(contract, line) {
  // All numbers of OrderConfirmed are longs. BigInt throws for a fraction.
  const event = JSON.parse(line, (_, value) => (typeof value === 'number' ? BigInt(value) : value));
  event.occurred_at = micros(event.occurred_at);
  return { key: event.order_id, value: contract.encode(EVENT, event), headers: headers(event) };
}

/** Return the messages of all lines, or say which line is no event and end the program. */
async function read(contract) {
  const messages = [];
  let number = 0;
  for await (const line of createInterface({ input: process.stdin })) {
    number += 1;
    if (line.trim() !== '') {
      try {
        messages.push(messageOf(contract, line));
      } catch (wrong) {
        // The message of a SyntaxError would show what is in the line.
        const [why] = (wrong instanceof SyntaxError ? 'not JSON' : wrong.message).split('\n');
        console.error(
          `line ${number} is no ${EVENT} (${why}): mend it and publish all lines again; none was published`,
        );
        process.exit(WRONG_LINE);
      }
    }
  }
  return messages;
}

async function publish() {
  const messages = await read(new Contract(SCHEMAS));
  const kafka = new Kafka({ brokers: BROKERS, logLevel: logLevel.WARN });
  const producer = kafka.producer({
    // Java's murmur2. (LegacyPartitioner is another one.)
    createPartitioner: Partitioners.DefaultPartitioner,
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await producer.connect();
  try {
    for (let first = 0; first < messages.length; first += TOGETHER_MAX) {
      const batch = messages.slice(first, first + TOGETHER_MAX);
      await producer.send({ topic: TOPIC, acks: ALL, messages: batch });
      console.log(JSON.stringify({ stored: batch.length }));
    }
  } finally {
    await producer.disconnect();
  }
}

await publish();
