import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { seededRandom } from '../../bench/statistics.ts';
import { type GatewayProcess, startGatewayProcess } from './gateway-process.ts';
import type { LlamaServerProgram } from './llama-cpp/program.ts';
import { DEFAULT_ALIAS, type LlamaServer, startLlamaServer } from './llama-cpp/start.ts';

// Given by run.ts, which installs the server and the model first.
const program: LlamaServerProgram = JSON.parse(process.env['SWARMROUTER_E2E_PROGRAM'] ?? 'null');
const STARTING_MS = 120_000;
const CONVERSATIONS = 10;
const TURNS = 10;
/** Room for half of the conversations each, as a desktop with a few slots has. */
const SLOTS = CONVERSATIONS / 2;

const servers: LlamaServer[] = [];
let gateway: GatewayProcess;

beforeAll(async () => {
  if (program === null) throw new Error('run this suite with `npm run test:e2e`, which installs the server first');
  for (let number = 0; number < 2; number++) {
    servers.push(await startLlamaServer({ program, slots: SLOTS, contextSize: SLOTS * 2_048 }));
  }
  gateway = await startGatewayProcess({
    LLAMACPP_URL: servers.map((server) => server.url).join(','),
    SWARMROUTER_LOG_LEVEL: 'WARN',
  });
}, STARTING_MS);

afterAll(async () => {
  await gateway?.stop();
  await Promise.all(servers.map((server) => server.stop()));
});

interface Turn {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly firstTokenMs: number;
}

interface Talk {
  readonly messages: { role: string; content: string }[];
  readonly turns: Turn[];
}

/** Ten conversations at once, turn by turn, in another order each time: whoever takes turns does not meet them again. */
async function talk(name: string, baseUrl: (request: number) => string): Promise<Talk[]> {
  const random = seededRandom(11);
  const talks: Talk[] = Array.from({ length: CONVERSATIONS }, (_, number) => ({
    messages: [
      { role: 'system', content: `You are ${name} number ${number}. ${'You answer briefly and kindly. '.repeat(6)}` },
    ],
    turns: [],
  }));
  let request = 0;
  for (let turn = 0; turn < TURNS; turn++) {
    const order = talks.map((each) => ({ each, key: random() })).sort((a, b) => a.key - b.key);
    for (const { each } of order) await takeTurn(each, turn, baseUrl(request++));
  }
  return talks;
}

async function takeTurn({ messages, turns }: Talk, turn: number, baseUrl: string): Promise<void> {
  messages.push({ role: 'user', content: `Question ${turn}: tell me one more thing about bees, bears or boats.` });
  const body = { model: DEFAULT_ALIAS, messages, max_tokens: 8, temperature: 0, stream: true };
  const sentAtMs = performance.now();
  const reply = await fetch(`${baseUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', connection: 'close' },
    body: JSON.stringify({ ...body, stream_options: { include_usage: true } }),
  });
  let firstTokenMs = 0;
  let text = '';
  for await (const piece of reply.body ?? []) {
    text += new TextDecoder().decode(piece);
    if (firstTokenMs === 0 && /"content":"[^"]/.test(text)) firstTokenMs = performance.now() - sentAtMs;
  }
  const chunks = text
    .matchAll(/^data: (\{.*\})$/gm)
    .map(([, json]) => JSON.parse(json ?? '{}'))
    .toArray();
  messages.push({ role: 'assistant', content: chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? '').join('') });
  const usage = chunks.at(-1)?.usage ?? chunks.find((chunk) => chunk.usage)?.usage;
  turns.push({
    promptTokens: usage.prompt_tokens,
    cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
    firstTokenMs,
  });
}

/** Cached tokens, beside those that the turns before left behind. */
function hitShare(talks: readonly Talk[]): number {
  let [cached, possible] = [0, 0];
  for (const { turns } of talks) {
    turns.slice(1).forEach((turn, before) => {
      cached += turn.cachedTokens;
      possible += turns[before]?.promptTokens ?? 0;
    });
  }
  return cached / possible;
}

function meanFirstTokenMs(talks: readonly Talk[]): number {
  const times = talks.flatMap(({ turns }) => turns.slice(1).map(({ firstTokenMs }) => firstTokenMs));
  return times.reduce((sum, time) => sum + time, 0) / times.length;
}

describe('ten conversations over two real llama.cpp servers', () => {
  test('find at least nine tenths of what is cached, which taking turns does not', async () => {
    const routed = await talk('Ada', () => gateway.url);
    const inTurn = await talk('Bob', (request) => servers[request % 2]?.url ?? '');
    const [ours, theirs] = [hitShare(routed), hitShare(inTurn)];
    const [oursMs, theirsMs] = [meanFirstTokenMs(routed), meanFirstTokenMs(inTurn)];
    console.log(
      `prefix hits: ${(ours * 100).toFixed(1)} % of the possible through the gateway, ${(theirs * 100).toFixed(1)} % round robin; ` +
        `mean first token ${oursMs.toFixed(0)} ms against ${theirsMs.toFixed(0)} ms (${(oursMs / theirsMs).toFixed(2)} ×)`,
    );
    expect(ours).toBeGreaterThanOrEqual(0.9);
    expect(ours).toBeGreaterThan(theirs);
  }, 240_000);
});
