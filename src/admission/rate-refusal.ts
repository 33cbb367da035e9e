import { counted } from '../core/counted.ts';
import type { Limits } from '../core/limits.ts';
import type { RateRefused } from '../core/rate-limit.ts';
import { durationText } from './rate-headers.ts';
import type { ScopeUse } from './scope-use.ts';

/** A limit that does not let a request in. */
export interface Block {
  readonly use: ScopeUse;
  readonly limitName: keyof Limits;
  readonly limit: number;
  /** Used now. */
  readonly used: number;
  /** Until it would be let in, ms; null: nobody knows (other requests must end); Infinity: never. */
  readonly waitMs: number | null;
}

/** Running requests end when they end: their number is worth another look after a second. */
const UNKNOWN_WAIT_MS = 1_000;
const LIMIT_WORDS = {
  rpm: ['request', 'per minute'],
  tpm: ['token', 'per minute'],
  concurrent: ['request', 'at once'],
} as const;

/** Of all limits that do not let the request in the one that takes longest; null: it may come in. Pure. */
export function worstBlock(scopes: readonly ScopeUse[], tokens: number, nowMs: number): Block | null {
  let worst: Block | null = null;
  for (const use of scopes) {
    if (hasRoom(use, tokens, nowMs)) continue;
    for (const block of blocksOf(use, tokens, nowMs)) {
      if (worst === null || waitOf(block) > waitOf(worst)) worst = block;
    }
  }
  return worst;
}

/** 429 in OpenAI's words: which limit, its value, what was asked, when it resets. */
export function refused(block: Block, tokens: number, rateHeaders: Readonly<Record<string, string>>): RateRefused {
  const { use, limitName, limit, used } = block;
  const asked = limitName === 'tpm' ? tokens : 1;
  const [noun, span] = LIMIT_WORDS[limitName];
  const message =
    `Rate limit reached: the ${use.scope} "${use.name.slice(0, 200)}" has a limit of ${counted(limit, noun)} ` +
    `${span}, ${used} ${used === 1 ? 'is' : 'are'} used, this request needs ${asked}. ${advice(block)}`;
  const headers = { ...rateHeaders, ...retryHeaders(block) };
  const refusal = { status: 429, code: 'rate_limit_exceeded', message, param: null, headers } as const;
  return { ok: false, refusal, scope: use.scope, limit: limitName };
}

/** As `blocksOf` finds none, in a third of the time: nearly always it is so. */
function hasRoom({ limits: { rpm, tpm, concurrent }, counter }: ScopeUse, tokens: number, nowMs: number): boolean {
  if (rpm !== null && counter.requests.total(nowMs) + 1 > rpm) return false;
  if (tpm !== null && counter.tokens.total(nowMs) + tokens > tpm) return false;
  return concurrent === null || counter.running + 1 <= concurrent;
}

function blocksOf(use: ScopeUse, tokens: number, nowMs: number): Block[] {
  const { limits, counter } = use;
  const blocks: Block[] = [];
  const check = (limitName: keyof Limits, used: number, asked: number, waitMs: () => number | null): void => {
    const limit = limits[limitName];
    if (limit === null || used + asked <= limit) return;
    blocks.push({ use, limitName, limit, used, waitMs: asked > limit ? Number.POSITIVE_INFINITY : waitMs() });
  };
  check('rpm', counter.requests.total(nowMs), 1, () => counter.requests.msUntilAtMost((limits.rpm ?? 0) - 1, nowMs));
  check('tpm', counter.tokens.total(nowMs), tokens, () =>
    counter.tokens.msUntilAtMost((limits.tpm ?? 0) - tokens, nowMs),
  );
  check('concurrent', counter.running, 1, () => null);
  return blocks;
}

function waitOf({ waitMs }: Block): number {
  return waitMs ?? UNKNOWN_WAIT_MS;
}

function advice({ limitName, waitMs, used }: Block): string {
  if (waitMs === null) return `Try again when ${used === 1 ? 'it' : 'one of them'} has ended.`;
  if (Number.isFinite(waitMs)) return `Try again in ${durationText(waitMs)}.`;
  if (limitName !== 'tpm') return 'It lets nothing pass: the operator can change it.';
  return 'It will never be let in: shorten the prompt or lower max_tokens.';
}

function retryHeaders(block: Block): Record<string, string> {
  const waitMs = waitOf(block);
  // Without it SDKs would ask again and again for what can never be.
  if (!Number.isFinite(waitMs)) return { 'x-should-retry': 'false' };
  return {
    'retry-after': String(Math.max(1, Math.ceil(waitMs / 1000))),
    'retry-after-ms': String(Math.max(1, Math.ceil(waitMs))),
  };
}
