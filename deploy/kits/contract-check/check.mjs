// Holds an AsyncAPI document against the official parser.
// Usage: node check.mjs asyncapi.json. Exit codes: 0 valid, 1 not valid, 2 wrong usage.

import { readFile } from "node:fs/promises";
import { AvroSchemaParser } from "@asyncapi/avro-schema-parser";
import { Parser } from "@asyncapi/parser";

const [file] = process.argv.slice(2);
if (!file) {
  console.error("usage: node check.mjs asyncapi.json");
  process.exit(2);
}

const WARNING = 1; // Information (2) and hints (3) are the parser's advice, such as a newer version of AsyncAPI.
const parser = new Parser();
parser.registerSchemaParser(AvroSchemaParser());
const { document, diagnostics } = await parser.parse(await readFile(file, "utf8"));
const problems = diagnostics
  .filter((found) => found.severity <= WARNING)
  .map((found) => `${found.path.join("/")}: ${found.message} (${found.code})`);

// The parser converts Avro to JSON Schema; it says nothing about a message whose schema it could not convert.
for (const message of document?.messages().all() ?? []) {
  if (message.hasPayload() && message.schemaFormat()?.includes("avro") && !converted(message)) {
    problems.push(`${message.id()}: its Avro schema was not read`);
  }
}

function converted(message) {
  const payload = message.payload().json();
  return (payload.schema ?? payload).properties?.event_id !== undefined;
}

for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);
const counted = `${document.channels().all().length} channels, ${document.operations().all().length} operations`;
console.log(`AsyncAPI ${document.version()} is valid: ${counted}, ${document.messages().all().length} messages`);
