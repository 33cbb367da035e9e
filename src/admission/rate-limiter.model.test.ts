import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { callerWith } from '../../test/support/client-keys.ts';
import { DEFAULT_ORGANISATION } from '../core/caller.ts';
import { type Limits, NO_LIMITS, NO_SHARED_LIMITS } from '../core/limits.ts';
import type { RateLease } from '../core/rate-limit.ts';
import { RateLimiter } from './rate-limiter.ts';

/** The same limits in the plainest way: a list of everything that was ever used. */
class Reference {
  readonly #used: {
    readonly id: string;
    readonly requests: number;
    readonly tokens: number;
    readonly second: number;
  }[] = [];
  readonly #running = new Map<string, number>();

  fits(id: string, limits: Limits, tokens: number, nowMs: number): boolean {
    const recent = this.#used.filter((use) => use.id === id && use.second > Math.floor(nowMs / 1000) - 61);
    const sum = (what: 'requests' | 'tokens') => recent.reduce((total, use) => total + use[what], 0);
    return (
      sum('requests') + 1 <= (limits.rpm ?? Number.POSITIVE_INFINITY) &&
      sum('tokens') + tokens <= (limits.tpm ?? Number.POSITIVE_INFINITY) &&
      (this.#running.get(id) ?? 0) + 1 <= (limits.concurrent ?? Number.POSITIVE_INFINITY)
    );
  }

  add(ids: readonly string[], requests: number, tokens: number, atMs: number): void {
    for (const id of ids) this.#used.push({ id, requests, tokens, second: Math.floor(atMs / 1000) });
  }

  run(ids: readonly string[], change: 1 | -1): void {
    for (const id of ids) this.#running.set(id, (this.#running.get(id) ?? 0) + change);
  }
}

interface Open {
  readonly lease: RateLease;
  readonly ids: readonly string[];
  readonly tokens: number;
  readonly atMs: number;
  settled: boolean;
  released: boolean;
}

type Step =
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'ask'; readonly key: number; readonly model: number; readonly tokens: number }
  | { readonly do: 'settle'; readonly which: number; readonly tokens: number }
  | { readonly do: 'release'; readonly which: number };

/** The limiter and the reference side by side: three keys of one organisation, two models. */
class SideBySide {
  #nowMs = 0;
  readonly #limits: readonly Limits[];
  readonly limiter: RateLimiter;
  readonly #reference = new Reference();
  readonly #open: Open[] = [];
  readonly decisions = { in: 0, refused: 0 };

  constructor(limits: readonly Limits[]) {
    this.#limits = limits;
    const shared = {
      organisations: new Map([[DEFAULT_ORGANISATION, this.#limit(3)]]),
      projects: new Map(),
      models: new Map([
        ['model-0', this.#limit(4)],
        ['model-1', this.#limit(5)],
      ]),
    };
    this.limiter = new RateLimiter({ clock: { nowMs: () => this.#nowMs }, shared: () => shared });
  }

  #limit(at: number): Limits {
    return this.#limits[at] ?? NO_LIMITS;
  }

  take(step: Step): void {
    if (step.do === 'wait') this.#nowMs += step.ms;
    else if (step.do === 'ask') this.#ask(step);
    else if (this.#open.length > 0) this.#end(step, this.#open[step.which % this.#open.length]);
  }

  #ask({ key, model, tokens }: Step & { do: 'ask' }): void {
    const scopes = new Map([
      [`key-${key}`, this.#limit(key)],
      ['organisation', this.#limit(3)],
      [`model-${model}`, this.#limit(4 + model)],
    ]);
    const fits = [...scopes].every(([id, limits]) => this.#reference.fits(id, limits, tokens, this.#nowMs));
    const caller = callerWith(this.#limit(key), { keyId: `key-${key}` });
    const decision = this.limiter.admit({ caller, model: `model-${model}`, tokens });
    expect(decision.ok).toBe(fits);
    this.decisions[fits ? 'in' : 'refused']++;
    if (!decision.ok) return;
    const ids = [...scopes.keys()];
    this.#reference.add(ids, 1, tokens, this.#nowMs);
    this.#reference.run(ids, 1);
    this.#open.push({ lease: decision.lease, ids, tokens, atMs: this.#nowMs, settled: false, released: false });
  }

  #end(step: Step & { do: 'settle' | 'release' }, open: Open | undefined): void {
    if (open === undefined) return;
    if (step.do === 'release') {
      open.lease.release();
      if (!open.released) this.#reference.run(open.ids, -1);
      open.released = true;
      return;
    }
    open.lease.settle(step.tokens);
    const more = step.tokens - open.tokens;
    if (!open.settled) this.#reference.add(open.ids, 0, more, more > 0 ? this.#nowMs : open.atMs);
    open.settled = true;
  }
}

const seldom = (most: number) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.nat(most) });
const limits = fc.record({ rpm: seldom(9), tpm: seldom(150), concurrent: seldom(9) });
const steps = fc.array(
  fc.oneof(
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.oneof(fc.nat(3_000), fc.nat(70_000)) }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('ask' as const),
        key: fc.nat(2),
        model: fc.nat(1),
        tokens: fc.integer({ min: 1, max: 30 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('settle' as const), which: fc.nat(), tokens: fc.nat(60) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat() }) },
  ),
  { maxLength: 120, size: 'max' },
);

describe('S-19 the rate limits', () => {
  test('decide as a list of everything that was ever used does, whatever comes in whatever order', () => {
    const decisions = { in: 0, refused: 0 };
    fc.assert(
      fc.property(fc.array(limits, { minLength: 6, maxLength: 6 }), steps, (all, taken) => {
        const both = new SideBySide(all);
        for (const step of taken) both.take(step);
        expect(both.limiter.size).toBeLessThanOrEqual(6);
        decisions.in += both.decisions.in;
        decisions.refused += both.decisions.refused;
      }),
      { numRuns: 500 },
    );
    expect(Math.min(decisions.in, decisions.refused)).toBeGreaterThan(1_000);
  });

  test('no span of 60 seconds, wherever it begins, sees more than the limit', () => {
    const waits = fc.array(fc.oneof(fc.constant(0), fc.nat(999), fc.nat(20_000)), { maxLength: 200, size: 'max' });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.nat(999), waits, (rpm, startMs, pauses) => {
        let nowMs = startMs;
        const limiter = new RateLimiter({ clock: { nowMs: () => nowMs }, shared: () => NO_SHARED_LIMITS });
        const caller = callerWith({ rpm });
        const admitted: number[] = [];
        for (const pauseMs of pauses) {
          nowMs += pauseMs;
          if (limiter.admit({ caller, model: '', tokens: 1 }).ok) admitted.push(nowMs);
          const inSpan = admitted.filter((atMs) => atMs > nowMs - 60_000);
          expect(inSpan.length).toBeLessThanOrEqual(rpm);
        }
      }),
    );
  });

  test('whoever comes back when told is let in, and a moment before is not', () => {
    const history = fc.array(fc.tuple(fc.nat(5_000), fc.integer({ min: 1, max: 30 })), { maxLength: 40, size: 'max' });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 30, max: 99 }), history, (rpm, tpm, before) => {
        let nowMs = 0;
        const limiter = new RateLimiter({ clock: { nowMs: () => nowMs }, shared: () => NO_SHARED_LIMITS });
        const ask = (tokens: number) => limiter.admit({ caller: callerWith({ rpm, tpm }), model: '', tokens });
        for (const [pauseMs, tokens] of before) {
          nowMs += pauseMs;
          const refused = ask(tokens);
          if (refused.ok) continue;
          nowMs += Number(refused.refusal.headers['retry-after-ms']) - 1;
          expect(ask(tokens).ok).toBe(false);
          nowMs += 1;
          expect(ask(tokens).ok).toBe(true);
        }
      }),
    );
  });
});
