/**
 * Subscribes to PaidAndConfirmed, OrderCancelled and PaymentFailed, with effect once. Runs until SIGTERM.
 *
 * Any error ends the process; its supervisor starts it again. Nothing is lost by that, because offsets are committed
 * after effects. What comes again is known by its event id.
 */

import { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';
import { Contract } from './contract.js';
import * as environment from './environment.js';

const BROKERS = environment.kafka();
const DATABASE = environment.database();
const SCHEMAS = environment.schemas();
const PREFIX = process.env.TOPIC_PREFIX ?? '';
const COMMIT_INTERVAL_MS = environment.milliseconds('COMMIT_INTERVAL_MS', 1000);
const SESSION_TIMEOUT_MS = environment.milliseconds('SESSION_TIMEOUT_MS', 10000);
const PLAY_MONEY = process.env.PLAY_MONEY === '1';

const RECEIVED = `
  insert into delivery.received (event_id, event_type) values ($1, $2)
  on conflict (event_id) do update set deliveries = received.deliveries + 1
  returning deliveries`;
// PaidAndConfirmed and OrderCancelled of an order are on two topics: two processes may have them at the same moment.
const LOCK = 'select pg_advisory_xact_lock(hashtextextended($1, 0))';
const DISPATCH = `
  insert into delivery.dispatch (event_id, order_id, amount_minor, currency, lines, state)
  values ($1, $2, $3, $4, $5,
          case when exists (select from delivery.cancel where order_id = $2) then 'cancelled' else 'to_send' end)`;
const CANCEL = 'insert into delivery.cancel (event_id, order_id, request_id) values ($1, $2, $3)';
const STOP = `
  update delivery.dispatch set state = case state when 'sent' then 'recall' else 'cancelled' end
  where order_id = $1 and state in ('to_send', 'sent')`;
const FAILURE = `
  insert into delivery.failure (event_id, order_id, stage, failure_code, retryable) values ($1, $2, $3, $4, $5)`;

const EFFECTS = {
  /** Have the goods of a paid order sent, unless it is cancelled already. Orders paid with play money are not sent. */
  PaidAndConfirmed: async (database, event) => {
    if (event.livemode || PLAY_MONEY) {
      // A quantity is far below 2^53.
      const lines = JSON.stringify(event.lines, (_, value) => (typeof value === 'bigint' ? Number(value) : value));
      await database.query(LOCK, [event.order_id]);
      await database.query(DISPATCH, [event.event_id, event.order_id, event.amount_minor, event.currency, lines]);
    }
  },
  /** Stop the goods of a cancelled order. Those that were handed over are to be called back. */
  OrderCancelled: async (database, { event_id, order_id, request_id }) => {
    await database.query(LOCK, [order_id]);
    await database.query(CANCEL, [event_id, order_id, request_id]);
    await database.query(STOP, [order_id]);
  },
  /** Note that an order is not paid. */
  PaymentFailed: async (database, event) => {
    const { event_id, order_id, stage, failure_code, retryable } = event;
    await database.query(FAILURE, [event_id, order_id, stage, failure_code, retryable]);
  },
};

/**
 * Store the event's id and its effect in one transaction. An id that is there already has no effect. Another process
 * that has the same event at this moment waits for the row of its id.
 */
async function receive(database, name, event) {
  await database.query('begin');
  const { rows } = await database.query(RECEIVED, [event.event_id, name]);
  if (rows[0].deliveries === '1') {
    await EFFECTS[name](database, event);
  }
  await database.query('commit');
}

/** What has had its effect, but is not committed yet. */
class Offsets {
  #consumer;
  #done = new Map();

  constructor(consumer) {
    this.#consumer = consumer;
  }

  /** Note that everything up to this message has had its effect. */
  note(topic, partition, offset) {
    this.#done.set(`${topic}/${partition}`, { topic, partition, offset: String(BigInt(offset) + 1n) });
  }

  /** Commit what is done. After a rebalance it may be refused: then it comes again, and has no effect. */
  async commit() {
    const done = [...this.#done.values()];
    this.#done.clear();
    if (done.length > 0) {
      try {
        await this.#consumer.commitOffsets(done);
      } catch (refused) {
        console.log(`commit refused: ${refused.message}`);
      }
    }
  }
}

function end(error) {
  console.error(error);
  // Not the usual way: kafkajs would try the message again by itself, beside an open transaction.
  process.exit(1);
}

const contract = new Contract(SCHEMAS);
const kafka = new Kafka({ brokers: BROKERS, logLevel: logLevel.WARN });
const consumer = kafka.consumer({
  groupId: process.env.GROUP_ID || 'delivery.dispatch',
  sessionTimeout: SESSION_TIMEOUT_MS,
  heartbeatInterval: SESSION_TIMEOUT_MS / 5,
  // While it waits for messages, kafkajs learns nothing of a rebalance. Its own value is 5 s.
  maxWaitTimeInMs: 500,
});
const offsets = new Offsets(consumer);
const database = new pg.Client({ connectionString: DATABASE });
database.on('error', end);
consumer.on(consumer.events.CRASH, ({ payload }) => end(payload.error));
await database.connect();
await consumer.connect();
await consumer.subscribe({ topics: Object.keys(EFFECTS).map((name) => PREFIX + name), fromBeginning: true });
await consumer.run({
  // kafkajs commits at the end of each batch, whatever interval it is given.
  autoCommit: false,
  eachMessage: async ({ topic, partition, message }) => {
    try {
      const name = topic.slice(PREFIX.length);
      await receive(database, name, contract.decode(name, message.value));
      offsets.note(topic, partition, message.offset);
    } catch (error) {
      end(error);
    }
  },
});
const committing = setInterval(() => offsets.commit(), COMMIT_INTERVAL_MS);

async function stop() {
  clearInterval(committing);
  // stop() leaves the group, and who has left may not commit. What is received in between comes again.
  await offsets.commit();
  await consumer.stop();
  await consumer.disconnect();
  await database.end();
}
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, () => stop().catch(end));
}
