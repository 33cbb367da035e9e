import { hash } from '../simulators/generation/chat-plan.ts';
import type { Fault } from '../simulators/index.ts';

/** When a client gives up: at once, while it waits for its first byte, or after some events of its stream. */
export type Abort =
  | { readonly phase: 'waiting'; readonly afterMs: number }
  | { readonly phase: 'streaming'; readonly afterChunks: number };

/** What one client asks, and when it leaves. */
export interface RequestPlan {
  readonly number: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** The model is asked to call a tool. */
  readonly tool: boolean;
  readonly place: 'local' | 'cloud' | null;
  /** Null: it stays. */
  readonly abort: Abort | null;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Numbers 0 ≤ x < 1, the same for the same key (SplitMix32). */
export function randomOf(...key: readonly (string | number)[]): () => number {
  let state = hash(key.join('|'));
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 4_294_967_296;
  };
}

export const canaryOf = (seed: number, number: number): string => `canary:s${seed}-n${number}-`;
const CANARY = /canary:s\d+-n(\d+)-/g;

/** The numbers of all requests whose canary stands in a text. */
export function canariesIn(text: string): number[] {
  return Array.from(text.matchAll(CANARY), ([, number]) => Number(number));
}

const TOOL = {
  type: 'function',
  function: {
    name: 'look_up',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};
const WORDS = ['weather', 'naïve', 'größer', '東京の天気', 'emoji 🐝🍯', 'שלום', 'plain', 'e\u0301'];

/** A pure function of seed and number, so that any request of a run can be sent again. */
export function requestPlan(seed: number, number: number): RequestPlan {
  const random = randomOf(seed, number, 'request');
  const stream = random() < 0.5;
  const includeUsage = stream && random() < 0.3;
  const tool = random() < 0.1;
  const fence = random();
  const place = fence < 0.05 ? 'local' : fence < 0.1 ? 'cloud' : null;
  const abort = random() < 0.05 ? abortOf(random, stream) : null;
  const length = random() < 0.02 ? 4_000 : Math.floor(random() * 60);
  const words = Array.from({ length }, () => WORDS[Math.floor(random() * WORDS.length)]).join(' ');
  const content = `${tool ? 'use tool ' : ''}${canaryOf(seed, number)} ${words}`;
  return {
    number,
    stream,
    includeUsage,
    tool,
    place,
    abort,
    body: {
      model: 'sim-model',
      messages: [{ role: 'user', content }],
      stream,
      ...(includeUsage ? { stream_options: { include_usage: true } } : {}),
      ...(tool ? { tools: [TOOL] } : {}),
    },
  };
}

function abortOf(random: () => number, stream: boolean): Abort {
  return stream && random() < 0.5
    ? { phase: 'streaming', afterChunks: 1 + Math.floor(random() * 6) }
    : { phase: 'waiting', afterMs: Math.floor(random() * 20) };
}

type MakeFault = (random: () => number) => Fault;
const within = (random: () => number, most: number): number => Math.floor(random() * (most + 1));
const status =
  (code: number): MakeFault =>
  () => ({ kind: 'status', status: code });
const chunks = (kind: 'reset' | 'clean-end' | 'cut' | 'bad-json-line' | 'truncated-line' | 'stall'): MakeFault => {
  return (random) => ({ kind, afterChunks: within(random, 6) });
};

/** Weight, and the fault. */
const FAULTS: readonly (readonly [number, MakeFault])[] = [
  [16, status(500)],
  [4, status(502)],
  [4, status(503)],
  [8, (random) => ({ kind: 'status', status: 429, headers: { 'retry-after-ms': String(20 + within(random, 80)) } })],
  [2, status(408)],
  [2, status(409)],
  [2, status(425)],
  [2, status(501)],
  [2, status(529)],
  [1, status(400)],
  [1, status(413)],
  [1, status(422)],
  [4, () => ({ kind: 'junk' })],
  [1, () => ({ kind: 'hang' })],
  [1, () => ({ kind: 'headers-only' })],
  [1, () => ({ kind: 'comments-only', everyMs: 50 })],
  [2, chunks('stall')],
  [8, () => ({ kind: 'reset-before-headers' })],
  [8, chunks('reset')],
  [4, (random) => ({ kind: 'reset-after-bytes', bytes: within(random, 2_000) })],
  [8, chunks('clean-end')],
  [8, chunks('cut')],
  [
    6,
    (random) => ({ kind: 'error-in-stream', afterChunks: within(random, 6), shape: random() < 0.5 ? 'data' : 'event' }),
  ],
  [4, () => ({ kind: 'error-with-200' })],
  [4, () => ({ kind: 'empty' })],
  [4, () => ({ kind: 'empty-choices' })],
  [4, chunks('bad-json-line')],
  [4, () => ({ kind: 'truncated-json' })],
  [4, chunks('truncated-line')],
  [4, () => ({ kind: 'html' })],
  [3, () => ({ kind: 'json-for-stream' })],
  [3, () => ({ kind: 'stream-for-whole' })],
  [0.1, (random) => ({ kind: 'giant-line', bytes: 5_000_000, afterChunks: within(random, 4) })],
  [2, () => ({ kind: 'redirect', location: 'http://127.0.0.1:9/' })],
  [6, (random) => ({ kind: 'slow', extraMs: within(random, 200) })],
  [3, () => ({ kind: 'gzip' })],
  [10, (random) => ({ kind: 'close-after-answer', afterMs: within(random, 5) })],
  [
    6,
    (random) => ({
      kind: 'split-writes',
      bytesPerWrite: 1 + within(random, 40),
      lineEnding: random() < 0.5 ? 'crlf' : 'lf',
    }),
  ],
];
const TOTAL_WEIGHT = FAULTS.reduce((sum, [weight]) => sum + weight, 0);

/** What this target does to this request: a pure function, so that the judge knows what any target would have done. */
export function faultOf(seed: number, number: number, target: string, share: number): Fault | null {
  const random = randomOf(seed, number, target);
  if (random() >= share) return null;
  let at = random() * TOTAL_WEIGHT;
  for (const [weight, make] of FAULTS) {
    at -= weight;
    if (at < 0) return make(random);
  }
  return null;
}

const HARMLESS = new Set<Fault['kind']>([
  'slow',
  'gzip',
  'json-for-stream',
  'stream-for-whole',
  'close-after-answer',
  'split-writes',
]);

/** With this fault the answer is late or looks odd, but it is there. */
export const isHarmless = (fault: Fault | null): boolean => fault === null || HARMLESS.has(fault.kind);

/** The client's own mistake, as far as the router can know: nobody else is asked. */
export function isClientsMistake(fault: Fault | null): boolean {
  return fault?.kind === 'status' && [400, 413, 422].includes(fault.status);
}

/** The server said that it did not process the request: it may be asked again. */
export function isRefusal(fault: Fault | null): boolean {
  return fault?.kind === 'status' && [409, 425, 429, 503, 529].includes(fault.status);
}
