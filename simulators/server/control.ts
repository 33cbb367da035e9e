import { FAULT_KINDS, type Fault } from '../fault.ts';
import { isObject, type JsonObject } from '../generation/chat-request.ts';
import type { Behaviour, Simulator } from '../types.ts';
import { type Answer, json } from './answer.ts';
import { BodyWriter } from './body-writer.ts';
import type { ResponseWire } from './connection.ts';
import type { HttpRequest } from './http-request.ts';

/** The control endpoints, for people and for processes that cannot call the library. */
export const CONTROL_ENDPOINTS: readonly (readonly [string, string])[] = [
  ['GET /_sim/state', 'kind, behaviour, open generations, connections, loads'],
  ['GET /_sim/log', 'the requests received'],
  ['DELETE /_sim/log', 'forget them'],
  [
    'POST /_sim/fault',
    'a fault as JSON, such as {"kind":"reset","afterChunks":3}; with "times": for that many requests',
  ],
  ['DELETE /_sim/fault', 'no more faults'],
  ['POST /_sim/behaviour', 'changes as JSON, such as {"tokensPerSecond":20}'],
  [
    'POST /_sim/kill',
    'reset all connections and close the port for {"forMs":…} milliseconds (default 1000), then listen again',
  ],
];

export async function serveControl(
  simulator: Simulator,
  request: HttpRequest,
  body: JsonObject | null,
  wire: ResponseWire,
): Promise<void> {
  const outcome = await act(simulator, `${request.method} ${request.path}`, body ?? {});
  const { answer, after } = 'answer' in outcome ? outcome : { answer: outcome, after: null };
  const text = answer.kind === 'whole' ? answer.body : '';
  const writer = new BodyWriter(wire, answer.status, answer.headers, Buffer.byteLength(text));
  await writer.write(text);
  await writer.end();
  after?.();
}

type ControlOutcome = Answer | { readonly answer: Answer; readonly after: () => void };

async function act(simulator: Simulator, endpoint: string, body: JsonObject): Promise<ControlOutcome> {
  switch (endpoint) {
    case 'GET /_sim/state':
      return json(200, stateOf(simulator));
    case 'GET /_sim/log':
      return json(200, { requests: simulator.log });
    case 'DELETE /_sim/log':
      simulator.clearLog();
      return json(200, {});
    case 'POST /_sim/fault':
      return setFault(simulator, body);
    case 'DELETE /_sim/fault':
      await simulator.setFault(null);
      return json(200, {});
    case 'POST /_sim/behaviour':
      return changeBehaviour(simulator, body);
    case 'POST /_sim/kill':
      return kill(simulator, body);
    default:
      return json(404, {
        error: `${endpoint} is no control endpoint`,
        endpoints: CONTROL_ENDPOINTS.map(([name]) => name),
      });
  }
}

function stateOf(simulator: Simulator): JsonObject {
  return {
    kind: simulator.kind,
    name: simulator.name,
    baseUrl: simulator.baseUrl,
    behaviour: { ...simulator.behaviour(), apiKey: simulator.behaviour().apiKey === null ? null : 'set' },
    active: simulator.active(),
    peakActive: simulator.peakActive(),
    connections: simulator.connections(),
    memory: simulator.memory(),
  };
}

async function setFault(simulator: Simulator, body: JsonObject): Promise<ControlOutcome> {
  const { times, ...fault } = body;
  const problem = faultProblem(fault) ?? timesProblem(times);
  if (problem !== null) return json(400, { error: problem });
  if (typeof times === 'number') simulator.faultNext(times, fault as Fault);
  else await simulator.setFault(fault as Fault);
  return json(200, {});
}

function timesProblem(times: unknown): string | null {
  if (times === undefined) return null;
  return Number.isInteger(times) && Number(times) > 0
    ? null
    : `"times" is ${JSON.stringify(times)}, must be an integer >= 1`;
}

/** The fields that a kind cannot do without, and their type. */
const NEEDED: Readonly<Partial<Record<Fault['kind'], readonly [string, 'number' | 'string']>>> = {
  status: ['status', 'number'],
  stall: ['afterChunks', 'number'],
  reset: ['afterChunks', 'number'],
  'reset-after-bytes': ['bytes', 'number'],
  'clean-end': ['afterChunks', 'number'],
  cut: ['afterChunks', 'number'],
  'error-in-stream': ['afterChunks', 'number'],
  'bad-json-line': ['afterChunks', 'number'],
  'truncated-line': ['afterChunks', 'number'],
  'giant-line': ['bytes', 'number'],
  redirect: ['location', 'string'],
  slow: ['extraMs', 'number'],
  'close-after-answer': ['afterMs', 'number'],
};

function faultProblem(fault: JsonObject): string | null {
  const kind = FAULT_KINDS.find((known) => known === fault['kind']);
  if (kind === undefined) return `"kind" is ${JSON.stringify(fault['kind'])}, must be one of ${FAULT_KINDS.join(', ')}`;
  if (kind === 'refuse') {
    return 'kind "refuse" would close this port to the call that ends it; use POST /_sim/kill with "forMs", or setFault of the library';
  }
  const needed = NEEDED[kind];
  if (needed === undefined) return null;
  const [field, type] = needed;
  return typeof fault[field] === type
    ? null
    : `kind "${kind}" needs "${field}", a ${type}; seen: ${JSON.stringify(fault[field])}`;
}

function changeBehaviour(simulator: Simulator, body: JsonObject): Answer {
  const known = Object.keys(simulator.behaviour());
  const changes: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(body)) {
    if (!known.includes(name)) return json(400, { error: `"${name}" is unknown, must be one of ${known.join(', ')}` });
    // JSON has no Infinity: null stands for "no limit" where a speed is meant.
    changes[name] = value === null && name.endsWith('PerSecond') ? Number.POSITIVE_INFINITY : value;
  }
  const problem = behaviourProblem(simulator.behaviour(), changes);
  if (problem !== null) return json(400, { error: problem });
  simulator.setBehaviour(changes as Partial<Behaviour>);
  return json(200, {});
}

function behaviourProblem(now: Behaviour, changes: JsonObject): string | null {
  for (const [name, value] of Object.entries(changes)) {
    const before = now[name as keyof Behaviour];
    if (name === 'models') {
      const good = Array.isArray(value) && value.every((model) => isObject(model) && typeof model['id'] === 'string');
      if (!good) return '"models" must be a list of objects with an "id"';
    } else if (before !== null && typeof value !== typeof before) {
      return `"${name}" is ${JSON.stringify(value)}, must be a ${typeof before}`;
    }
  }
  return null;
}

function kill(simulator: Simulator, body: JsonObject): ControlOutcome {
  const { forMs = 1000 } = body;
  if (typeof forMs !== 'number' || forMs < 0) return json(400, { error: '"forMs" must be a number >= 0' });
  const killThenRevive = async (): Promise<void> => {
    await simulator.kill();
    setTimeout(() => void simulator.revive(), forMs);
  };
  return { answer: json(200, {}), after: () => setTimeout(() => void killThenRevive(), 20) };
}
