import type { Fault } from '../simulators/index.ts';
import { randomOf } from './schedule.ts';

type MakeFault = (random: () => number) => Fault;
const within = (random: () => number, most: number): number => Math.floor(random() * (most + 1));
const status =
  (code: number): MakeFault =>
  () => ({ kind: 'status', status: code });
/** An error body whose words say more than its status. */
export const told = (code: number, word: string): Fault => ({
  kind: 'status',
  status: code,
  body: { error: { message: `simulated ${word}`, type: 'invalid_request_error', param: null, code: word } },
});
const chunks = (kind: 'reset' | 'clean-end' | 'cut' | 'bad-json-line' | 'truncated-line' | 'stall'): MakeFault => {
  return (random) => ({ kind, afterChunks: within(random, 6) });
};

const LINE_ENDINGS = ['lf', 'crlf', 'cr'] as const;

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
  // A bare 404 means in some wires' words that the model is missing, which is said for longer than one request.
  [1, () => told(404, 'unknown_url')],
  [1, () => told(400, 'context_length_exceeded')],
  [1, () => told(400, 'content_filter')],
  [1, status(400)],
  [1, status(413)],
  [1, status(422)],
  [4, () => ({ kind: 'junk' })],
  [1, () => ({ kind: 'hang' })],
  [1, () => ({ kind: 'headers-only' })],
  [1, () => ({ kind: 'comments-only', everyMs: 50 })],
  [2, chunks('stall')],
  // Comments keep a stream open ten times as long: few, or they fill the slots.
  [0.1, (random) => ({ kind: 'stall', afterChunks: within(random, 6), commentsEveryMs: 40 })],
  [8, () => ({ kind: 'reset-before-headers' })],
  [8, chunks('reset')],
  [4, (random) => ({ kind: 'reset-after-bytes', bytes: 1 + within(random, 2_000) })],
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
      lineEnding: LINE_ENDINGS[within(random, 2)] ?? 'lf',
      byteOrderMark: random() < 0.3,
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

/** The client's own mistake, as far as the router can know: nobody else is asked, and the client is told the status. */
export function isClientsMistake(fault: Fault | null): boolean {
  return fault?.kind === 'status' && [400, 413, 422].includes(fault.status) && !isOverflow(fault);
}

/** The prompt is said not to fit: another server may hold it. */
export function isOverflow(fault: Fault | null): boolean {
  return isWord(fault, 'context_length_exceeded');
}

function isWord(fault: Fault | null, word: string): boolean {
  return fault?.kind === 'status' && JSON.stringify(fault.body ?? null).includes(`"${word}"`);
}

const OPERATOR_REST_MS = 60_000;
/** Until a cloud provider's next probe, with a probe interval of a second. */
const MODEL_FORGOTTEN_MS = 13_000;

/** For how long a server that answers so is rightly left alone, ms. */
export function askedRestMs(fault: Fault | null): number {
  if (fault?.kind !== 'status') return 0;
  if ([401, 402, 403].includes(fault.status)) return OPERATOR_REST_MS;
  if (isWord(fault, 'model_not_found')) return MODEL_FORGOTTEN_MS;
  return Number(fault.headers?.['retry-after-ms'] ?? 0);
}

/** The server said that it did not process the request: it may be asked again. */
export function isRefusal(fault: Fault | null): boolean {
  return fault?.kind === 'status' && [409, 425, 429, 503, 529].includes(fault.status);
}
