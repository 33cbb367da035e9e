import { describe, expect, test } from 'bun:test';
import { callerWith } from '../../test/support/client-keys.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { type Caller, DEFAULT_ORGANISATION } from '../core/caller.ts';
import { NO_LIMITS, NO_SHARED_LIMITS, projectScopeId, type SharedLimits } from '../core/limits.ts';
import type { RateDecision, RateLease } from '../core/rate-limit.ts';
import { RateLimiter } from './rate-limiter.ts';

function limiter(shared: SharedLimits = NO_SHARED_LIMITS) {
  const clock = new ManualClock();
  const state = { shared };
  const made = new RateLimiter({ clock, shared: () => state.shared });
  const ask = (caller: Caller, tokens = 1, model = 'gpt-4o') => made.admit({ caller, model, tokens });
  return { clock, made, ask, state };
}

function leaseOf(decision: RateDecision): RateLease {
  if (!decision.ok) throw new Error(decision.refusal.message);
  return decision.lease;
}

function refusalOf(decision: RateDecision) {
  if (decision.ok) throw new Error('let in');
  return decision.refusal;
}

describe('requests a minute', () => {
  test('pass up to the limit, and again as those before leave the last minute', async () => {
    const { clock, ask } = limiter();
    const alice = callerWith({ rpm: 2 });
    expect([ask(alice).ok, ask(alice).ok]).toEqual([true, true]);
    await clock.advance(400);
    expect(refusalOf(ask(alice))).toEqual({
      status: 429,
      code: 'rate_limit_exceeded',
      message:
        'Rate limit reached: the key "name of alice" has a limit of 2 requests per minute, 2 are used, ' +
        'this request needs 1. Try again in 1m0.6s.',
      param: null,
      headers: {
        'x-ratelimit-limit-requests': '2',
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '1m0.6s',
        'retry-after': '61',
        'retry-after-ms': '60600',
      },
    });
    await clock.advance(60_599);
    expect(ask(alice).ok).toBe(false);
    await clock.advance(1);
    expect(ask(alice).ok).toBe(true);
  });

  test('refused ones count for nothing', async () => {
    const { clock, ask } = limiter();
    const alice = callerWith({ rpm: 1, tpm: 10 });
    leaseOf(ask(alice, 10));
    for (let count = 0; count < 100; count++) expect(ask(alice, 10).ok).toBe(false);
    await clock.advance(61_000);
    expect(ask(alice, 10).ok).toBe(true);
  });

  test('a limit of 0 lets nothing pass, and nobody is told to come back', () => {
    const { ask } = limiter();
    const refusal = refusalOf(ask(callerWith({ rpm: 0 })));
    expect(refusal.headers).toMatchObject({ 'x-should-retry': 'false' });
    expect(refusal.headers).not.toHaveProperty('retry-after');
  });
});

describe('tokens a minute', () => {
  test('what was expected too much is given back, what was used beyond counts from then on', async () => {
    const { clock, ask } = limiter();
    const alice = callerWith({ tpm: 100 });
    const first = leaseOf(ask(alice, 90));
    expect(ask(alice, 20).ok).toBe(false);
    first.settle(30);
    const second = leaseOf(ask(alice, 70));
    expect(first.headers()).toMatchObject({ 'x-ratelimit-remaining-tokens': '0' });
    await clock.advance(50_000);
    second.settle(75);
    expect(ask(alice, 1).ok).toBe(false);
    await clock.advance(11_000);
    // The 5 beyond what was expected are 11 seconds old.
    expect(ask(alice, 96).ok).toBe(false);
    expect(ask(alice, 95).ok).toBe(true);
  });

  test('what can never be let in is refused for good', () => {
    const { ask } = limiter();
    const refusal = refusalOf(ask(callerWith({ tpm: 100 }), 101));
    expect(refusal.message).toContain('a limit of 100 tokens per minute, 0 are used, this request needs 101. It will');
    expect(refusal.headers).toMatchObject({ 'x-should-retry': 'false', 'x-ratelimit-reset-tokens': '0s' });
  });

  test('a number that no request can reach is refused, and upsets no count where it is not limited', async () => {
    const { clock, made, ask } = limiter();
    for (const tokens of [Number.POSITIVE_INFINITY, 1e300]) {
      expect(ask(callerWith({ tpm: 1_000_000 }), tokens).ok).toBe(false);
      const lease = leaseOf(ask(callerWith({ rpm: 9 }, { keyId: 'bob' }), tokens));
      lease.settle(tokens);
      lease.release();
    }
    await clock.advance(62_000);
    for (let count = 0; count < 10; count++) ask(callerWith({ concurrent: 0 }, { keyId: 'carol' }));
    expect(made.size).toBe(1);
  });

  test('usage that nobody knows leaves what was expected', () => {
    const { ask } = limiter();
    const lease = leaseOf(ask(callerWith({ tpm: 100 }), 40));
    lease.settle(Number.NaN);
    lease.release();
    expect(lease.headers()).toMatchObject({ 'x-ratelimit-remaining-tokens': '60' });
    lease.settle(10);
    lease.settle(0);
    expect(lease.headers()).toMatchObject({ 'x-ratelimit-remaining-tokens': '90' });
  });
});

describe('requests at once', () => {
  test('count until they are released, once, however often that is said', () => {
    const { ask } = limiter();
    const alice = callerWith({ concurrent: 2 });
    const first = leaseOf(ask(alice));
    leaseOf(ask(alice));
    const refusal = refusalOf(ask(alice));
    expect(refusal.message).toContain('a limit of 2 requests at once, 2 are used');
    expect(refusal.headers).toEqual({ 'retry-after': '1', 'retry-after-ms': '1000' });
    first.release();
    first.release();
    expect([ask(alice).ok, ask(alice).ok]).toEqual([true, false]);
  });

  test('are told as one where it is one', () => {
    const { ask } = limiter();
    const alice = callerWith({ concurrent: 1 });
    leaseOf(ask(alice));
    expect(refusalOf(ask(alice)).message).toContain(
      'a limit of 1 request at once, 1 is used, this request needs 1. Try again when it has ended.',
    );
  });

  test('of 1,000 that come together exactly as many pass as may', () => {
    const { ask } = limiter();
    const alice = callerWith({ concurrent: 7, rpm: 500 });
    expect(Array.from({ length: 1_000 }, () => ask(alice).ok).filter(Boolean)).toHaveLength(7);
  });
});

describe('scopes', () => {
  const shared: SharedLimits = {
    organisations: new Map([[DEFAULT_ORGANISATION, { ...NO_LIMITS, rpm: 4 }]]),
    projects: new Map([[projectScopeId(DEFAULT_ORGANISATION, 'web'), { ...NO_LIMITS, rpm: 3 }]]),
    models: new Map([['gpt-4o', { ...NO_LIMITS, rpm: 2 }]]),
  };

  test('all of them must let a request in, else it counts for none', () => {
    const { ask } = limiter(shared);
    const web = callerWith({ rpm: 100 }, { projectId: 'web' });
    const other = callerWith({ rpm: 100 }, { keyId: 'bob', projectId: 'other' });
    const scopeOf = (decision: RateDecision) => (decision.ok ? 'in' : decision.scope);
    expect([1, 2, 3].map(() => scopeOf(ask(web)))).toEqual(['in', 'in', 'model']);
    expect(scopeOf(ask(web, 1, 'GPT-4O'))).toBe('model');
    expect([1, 2].map(() => scopeOf(ask(web, 1, 'o3')))).toEqual(['in', 'project']);
    expect([1, 2].map(() => scopeOf(ask(other, 1, 'o3')))).toEqual(['in', 'organisation']);
  });

  test('of several that say no the one is named that takes longest', async () => {
    const { clock, ask } = limiter(shared);
    const alice = callerWith({ rpm: 2 }, { projectId: 'web' });
    leaseOf(ask(alice, 1, 'o3'));
    await clock.advance(30_000);
    leaseOf(ask(callerWith({}, { keyId: 'bob' })));
    leaseOf(ask(callerWith({}, { keyId: 'bob' })));
    const decision = ask(callerWith({ rpm: 1 }, { projectId: 'web' }));
    expect(decision).toMatchObject({ ok: false, scope: 'model', limit: 'rpm' });
    expect(refusalOf(decision).headers).toMatchObject({ 'retry-after': '61' });
  });

  test('the headers tell of the scope that has least left', () => {
    const { ask } = limiter(shared);
    const lease = leaseOf(ask(callerWith({ rpm: 100, tpm: 50 }, { projectId: 'web' }), 10, 'o3'));
    expect(lease.headers()).toEqual({
      'x-ratelimit-limit-requests': '3',
      'x-ratelimit-remaining-requests': '2',
      'x-ratelimit-reset-requests': '1m1s',
      'x-ratelimit-limit-tokens': '50',
      'x-ratelimit-remaining-tokens': '40',
      'x-ratelimit-reset-tokens': '1m1s',
    });
    expect(leaseOf(ask(callerWith({}, { organisationId: 'free' }), 1, 'o3')).headers()).toEqual({});
  });

  test('projects of the same id in two organisations count apart', () => {
    const projects = new Map(['a', 'b'].map((id) => [projectScopeId(id, 'web'), { ...NO_LIMITS, rpm: 1 }]));
    const { ask } = limiter({ ...NO_SHARED_LIMITS, projects });
    const inA = callerWith({}, { organisationId: 'a', projectId: 'web' });
    const inB = callerWith({}, { organisationId: 'b', projectId: 'web' });
    expect([inA, inA, inB, inB].map((caller) => ask(caller).ok)).toEqual([true, false, true, false]);
  });

  test('a limit that is changed holds at once, for what was used before too', () => {
    const { ask, state } = limiter(shared);
    const web = callerWith({}, { projectId: 'web' });
    expect([1, 2, 3].map((at) => ask(web, 1, `model-${at}`).ok)).toEqual([true, true, true]);
    expect(ask(web, 1, 'o3').ok).toBe(false);
    const projects = new Map([[projectScopeId(DEFAULT_ORGANISATION, 'web'), { ...NO_LIMITS, rpm: 4 }]]);
    state.shared = { ...shared, projects };
    expect([ask(web, 1, 'o3').ok, ask(web, 1, 'o3').ok]).toEqual([true, false]);
  });
});

describe('memory', () => {
  test('is taken only for what has a limit, and given back after a minute without use', async () => {
    const { clock, made, ask } = limiter({ ...NO_SHARED_LIMITS, models: new Map([['gpt-4o', NO_LIMITS]]) });
    for (let count = 0; count < 1_000; count++) ask(callerWith({}, { keyId: `free-${count}` }), 1, `model-${count}`);
    expect(made.size).toBe(0);
    const running = leaseOf(ask(callerWith({ concurrent: 1 }, { keyId: 'running' })));
    for (let count = 0; count < 1_000; count++) {
      leaseOf(ask(callerWith({ rpm: 5 }, { keyId: `key-${count}` }))).release();
    }
    expect(made.size).toBe(1_001);
    await clock.advance(62_000);
    for (let count = 0; count < 2_200; count++) leaseOf(ask(callerWith({ rpm: 3_000 }))).release();
    expect(made.size).toBe(2);
    expect(ask(callerWith({ concurrent: 1 }, { keyId: 'running' })).ok).toBe(false);
    running.release();
  });

  test('an answer that is settled after its counter has left still counts', async () => {
    const { clock, ask, made } = limiter();
    const alice = callerWith({ tpm: 100 });
    const lease = leaseOf(ask(alice, 10));
    lease.release();
    await clock.advance(62_000);
    for (let count = 0; count < 10; count++) ask(callerWith({ rpm: 100 }, { keyId: 'bob' }));
    expect(made.size).toBe(1);
    lease.settle(100);
    expect(ask(alice, 11).ok).toBe(false);
  });
});

describe('a refusal says which limit of whom, its value, what is used, what was asked, and when to come back', () => {
  const LIMITS = {
    rpm: {
      limits: { rpm: 2 },
      of: 2,
      what: 'requests per minute',
      needs: 1,
      when: /^Try again in 1m0s\.$/,
      retryAfter: '60',
    },
    tpm: {
      limits: { tpm: 20 },
      of: 20,
      what: 'tokens per minute',
      needs: 10,
      when: /^Try again in 1m0s\.$/,
      retryAfter: '60',
    },
    concurrent: {
      ...{ limits: { concurrent: 2 }, of: 2, what: 'requests at once', needs: 1 },
      ...{ when: /^Try again when one of them has ended\.$/, retryAfter: '1' },
    },
  };
  const organisationId = DEFAULT_ORGANISATION;
  const places = {
    key: { named: 'name of alice', shared: () => NO_SHARED_LIMITS },
    project: {
      named: 'default',
      shared: (limits: object) => sharedBy('projects', projectScopeId(organisationId, 'default'), limits),
    },
    organisation: {
      named: organisationId,
      shared: (limits: object) => sharedBy('organisations', organisationId, limits),
    },
    model: { named: 'gpt-4o', shared: (limits: object) => sharedBy('models', 'gpt-4o', limits) },
  };
  function sharedBy(scope: 'projects' | 'organisations' | 'models', id: string, limits: object): SharedLimits {
    return { ...NO_SHARED_LIMITS, [scope]: new Map([[id, { ...NO_LIMITS, ...limits }]]) };
  }

  for (const [scope, { named, shared }] of Object.entries(places)) {
    for (const [name, { limits, of, what, needs, when, retryAfter }] of Object.entries(LIMITS)) {
      test(`${name} of a ${scope}`, async () => {
        const { ask, clock } = limiter(shared(limits));
        const caller = callerWith(scope === 'key' ? limits : {});
        leaseOf(ask(caller, 10));
        leaseOf(ask(caller, 10));
        await clock.advance(1_000);
        const { message, headers, code, status } = refusalOf(ask(caller, 10));
        const used = name === 'tpm' ? 20 : 2;
        const begin = `Rate limit reached: the ${scope} "${named}" has a limit of ${of} ${what}, ${used} are used, this request needs ${needs}. `;
        expect([status, code, message.slice(0, begin.length)]).toEqual([429, 'rate_limit_exceeded', begin]);
        expect(message.slice(begin.length)).toMatch(when);
        expect(headers['retry-after']).toBe(retryAfter);
      });
    }
  }
});

test('what was used counts for up to a second more than a minute, and a client that waits as told is let in', async () => {
  const { ask, clock } = limiter();
  const alice = callerWith({ rpm: 1 });
  await clock.advance(250);
  const lease = leaseOf(ask(alice));
  expect(lease.headers()['x-ratelimit-reset-requests']).toBe('1m0.75s');
  const { headers } = refusalOf(ask(alice));
  expect([headers['retry-after'], headers['retry-after-ms']]).toEqual(['61', '60750']);
  await clock.advance(60_000);
  expect(ask(alice).ok).toBe(false);
  await clock.advance(750);
  expect(ask(alice).ok).toBe(true);
});
