#!/usr/bin/env bash
# 2026-11-30. @asyncapi/parser 3.6.6 with @asyncapi/avro-schema-parser 3.1.0: a payload's Avro schema and its examples are not checked.
#
# Expected: with the parser for Avro registered, a document is refused whose Avro payload names a type that does not exist, or
# whose example does not fit the payload; for JSON Schema payloads the parser checks both.
# Seen: such documents of AsyncAPI 3.0.0 are parsed without one diagnostic that names either. Only structure and references
# are checked: a channel that is not there is found. A contract in Avro needs a check of its own for types and examples.
# Fails when one of the two is told.
# Needs node 18 or newer and npm; touches a temporary folder only.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"name": "finding", "private": true, "type": "module"}' > package.json
npm install --silent --no-package-lock --ignore-scripts --no-audit --no-fund @asyncapi/parser@3.6.6 @asyncapi/avro-schema-parser@3.1.0
cat > run.mjs <<'JS'
import { Parser } from '@asyncapi/parser';
import { AvroSchemaParser } from '@asyncapi/avro-schema-parser';

const parser = new Parser();
parser.registerSchemaParser(AvroSchemaParser());

function document(type, example, channel = 'paid') {
  const schema = { type: 'record', name: 'Paid', fields: [{ name: 'order_id', type }, { name: 'amount', type: 'long' }] };
  return {
    asyncapi: '3.0.0',
    info: { title: 'shop', version: '1.0.0' },
    channels: { paid: { address: 'paid', messages: { Paid: { $ref: '#/components/messages/Paid' } } } },
    operations: { readPaid: { action: 'receive', channel: { $ref: `#/channels/${channel}` } } },
    components: {
      messages: {
        Paid: {
          payload: { schemaFormat: 'application/vnd.apache.avro+json;version=1.9.0', schema },
          examples: [{ payload: example }],
        },
      },
    },
  };
}

async function errors(made) {
  const { diagnostics } = await parser.parse(JSON.stringify(made));
  return diagnostics.filter((each) => each.severity === 0).map((each) => `${each.path.join('.')}: ${each.message}`);
}

const seen = {
  right: await errors(document('string', { order_id: 'A-1', amount: 890 })),
  'unknown type': await errors(document('strin', { order_id: 'A-1', amount: 890 })),
  'example of other fields': await errors(document('string', { customer: true })),
  'missing channel': await errors(document('string', { order_id: 'A-1', amount: 890 }, 'nowhere')),
};
for (const [what, found] of Object.entries(seen)) console.log(`${what}: ${found.length} errors ${found.join(' | ')}`);
const counts = Object.values(seen).map((found) => found.length > 0);
if (JSON.stringify(counts) !== JSON.stringify([false, false, false, true])) {
  console.log('the parser tells something else now');
  process.exit(1);
}
console.log('as described');
JS
node run.mjs
