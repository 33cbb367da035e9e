/**
 * Records what a real llama.cpp server answers, whole and streamed, to the same requests, as fixtures of the adapter
 * contract suite: `node bin/run.mjs test/e2e/llama-cpp/record.ts`. The bytes are kept as they came.
 */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { installLlamaCpp } from './install.ts';
import { RECORDED_REQUESTS } from './recorded-requests.ts';
import { DEFAULT_ALIAS, startLlamaServer } from './start.ts';

const FIXTURES = resolve(import.meta.dir, '..', '..', 'contract', 'fixtures', 'llama-cpp');
const REQUEST_LIMIT_MS = 120_000;

/** Temperature, seed and no prompt cache: whole and streamed must be the same answer to the same tokens. */
const REPEATABLE = { model: DEFAULT_ALIAS, temperature: 0, seed: 7, cache_prompt: false };

async function post(url: string, body: object): Promise<string> {
  const reply = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    // The server may close a kept-alive connection just as it is taken for the next request.
    headers: { 'content-type': 'application/json', connection: 'close' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(REQUEST_LIMIT_MS),
  });
  const text = await reply.text();
  if (!reply.ok) throw new Error(`HTTP ${reply.status}: ${text.slice(0, 300)}`);
  return text;
}

async function record(url: string, name: string, fields: object): Promise<void> {
  const request = { ...REPEATABLE, ...fields };
  const whole = await post(url, { ...request, stream: false });
  const stream = await post(url, { ...request, stream: true, stream_options: { include_usage: true } });
  await Bun.write(join(FIXTURES, `${name}.request.json`), `${JSON.stringify(request, null, 2)}\n`);
  await Bun.write(join(FIXTURES, `${name}.whole.json`), whole);
  await Bun.write(join(FIXTURES, `${name}.stream.txt`), stream);
  console.log(`${name}: ${whole.length} bytes whole, ${stream.length} bytes streamed`);
}

const install = await installLlamaCpp((line) => console.log(line));
if (!install.available) {
  console.error(`nothing recorded: ${install.reason}`);
  process.exit(1);
}
await mkdir(FIXTURES, { recursive: true });
const server = await startLlamaServer({ program: install.program, slots: 2, withTools: true });
let failures = 0;
for (const [name, fields] of Object.entries(RECORDED_REQUESTS)) {
  try {
    await record(server.url, name, fields);
  } catch (error) {
    failures += 1;
    console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
await Bun.write(
  join(FIXTURES, 'RECORDED.md'),
  `Recorded from ${install.program.description} by test/e2e/llama-cpp/record.ts.\n`,
);
await server.stop();
process.exit(failures === 0 ? 0 : 1);
