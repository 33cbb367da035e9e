import { afterEach } from 'bun:test';
import { type Simulator, type SimulatorOptions, startSimulator } from './index.ts';

const started: Simulator[] = [];

/** Starts a simulator that the test's end stops. */
export async function simulate(options: SimulatorOptions): Promise<Simulator> {
  const simulator = await startSimulator({ firstTokenMs: 0, ...options });
  started.push(simulator);
  return simulator;
}

export function stopSimulatorsAfterEach(): void {
  afterEach(async () => {
    await Promise.all(started.splice(0).map((simulator) => simulator.stop()));
  });
}

/** Where each kind takes a chat request, for a deployment or model called `sim-model`. */
export function chatUrl({ kind, url, baseUrl }: Simulator): string {
  if (kind === 'azure-openai') return `${url}/openai/v1/chat/completions`;
  return baseUrl === url ? `${url}/v1/chat/completions` : `${baseUrl}/chat/completions`;
}

export function chat(simulator: Simulator, body: object, init: RequestInit = {}): Promise<Response> {
  return fetch(chatUrl(simulator), {
    method: 'POST',
    body: JSON.stringify({ model: 'sim-model', messages: [{ role: 'user', content: 'hello' }], ...body }),
    ...init,
  });
}

export type Json = Record<string, unknown>;

export async function jsonOf(response: Response | Promise<Response>): Promise<Json> {
  return (await (await response).json()) as Json;
}

/** The JSON chunks of a stream; comments and `[DONE]` left out. */
export function chunksOf(sse: string): Json[] {
  return sse
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice('data: '.length)) as Json);
}

interface Choice {
  readonly index: number;
  readonly delta?: Json;
  readonly [field: string]: unknown;
}

/** Puts a stream together as a client would: what its whole reply should have been. */
export function assemble(chunks: readonly Json[]): Json {
  const reply: Json = {};
  const choices: Json[] = [];
  for (const { choices: parts, ...rest } of chunks) {
    for (const [name, value] of Object.entries(rest)) {
      if (value !== null && value !== '' && value !== 0) reply[name] = value;
    }
    for (const part of (parts as Choice[]) ?? []) addChoice(choices, part);
  }
  const { id: _id, created: _created, object: _object, ...fields } = reply;
  return { ...fields, choices };
}

function addChoice(choices: Json[], { index, delta, ...rest }: Choice): void {
  if (delta === undefined) return;
  const choice = choices[index] ?? { index, message: {} };
  choices[index] = choice;
  Object.assign(choice, rest);
  const message = choice['message'] as Json;
  for (const [name, value] of Object.entries(delta)) {
    if (name === 'tool_calls') addToolCalls(message, value as Json[]);
    else if (typeof value === 'string' && typeof message[name] === 'string' && name !== 'role') message[name] += value;
    else if (value !== null || !(name in message)) message[name] = value;
  }
}

function addToolCalls(message: Json, parts: Json[]): void {
  const calls = (message['tool_calls'] ?? []) as Json[];
  message['tool_calls'] = calls;
  for (const { index, ...part } of parts) {
    const at = Number(index);
    const before = calls[at];
    if (before === undefined) {
      calls[at] = part;
      continue;
    }
    const fn = before['function'] as Json;
    fn['arguments'] = `${fn['arguments']}${(part['function'] as Json)['arguments']}`;
  }
}

/** The whole reply without what differs from call to call. */
export function comparable({ id: _id, created: _created, object: _object, ...rest }: Json): Json {
  return rest;
}
