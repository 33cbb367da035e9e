import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { hashKey, madeKey } from '../../test/support/client-keys.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { ClientKey } from '../core/client-key.ts';
import { Secret } from '../core/secret.ts';
import { KeyBook } from './key-book.ts';
import { generateKey, TOKEN_START } from './key-format.ts';
import { KeyGuard } from './key-guard.ts';

const OPERATOR = 'swr_admin_0123456789abcdef';

function guarded(keys: readonly ClientKey[], loopback = false) {
  const clock = new ManualClock();
  let lookUps = 0;
  const book = new KeyBook((text) => {
    lookUps++;
    return hashKey(text);
  }, keys);
  const guard = new KeyGuard({ book, clock, loopback, operatorKey: new Secret(OPERATOR) });
  const ask = (headers: Sent) => guard.admit(new Headers(headers));
  return { book, clock, guard, ask, lookUps: () => lookUps };
}

type Sent = Readonly<Record<string, string>>;
const bearer = (text: string): Sent => ({ authorization: `Bearer ${text}` });

describe('the guard of the data plane', () => {
  test('lets the owner of a key in by each carrier', () => {
    const { text, key } = madeKey('alice');
    const { ask } = guarded([key]);
    const carriers: Sent[] = [bearer(text), { 'x-api-key': text }, { 'api-key': text }];
    for (const headers of carriers) {
      expect(ask(headers)).toMatchObject({ ok: true, caller: { kind: 'key', keyId: 'alice' } });
    }
  });

  test('ignores every credential while a single user on loopback has no key, and from the first key on none', () => {
    const { book, guard, ask } = guarded([], true);
    const sent: Sent[] = [
      {},
      bearer('sk-anything'),
      { 'x-api-key': 'a', 'api-key': 'b' },
      { authorization: 'Basic x' },
    ];
    expect([guard.required, guard.needed]).toEqual([false, null]);
    for (const headers of sent) expect(ask(headers)).toMatchObject({ ok: true, caller: { kind: 'anyone' } });
    const { key } = madeKey('alice');
    book.apply({ kind: 'put', key });
    expect([guard.required, guard.needed]).toEqual([true, 'client key']);
    for (const headers of sent) expect(ask(headers).ok).toBe(false);
    book.apply({ kind: 'put', key: { ...key, revokedAtMs: 1 } });
    for (const headers of sent) expect(ask(headers).ok).toBe(false);
  });

  test('on a network takes the operator’s key until there is a client key', () => {
    const { book, guard, ask } = guarded([]);
    expect(guard.needed).toBe('admin key');
    expect(ask({})).toMatchObject({ ok: false, fault: 'missing', refusal: { status: 401, code: 'invalid_api_key' } });
    expect(ask(bearer(OPERATOR))).toMatchObject({ ok: true, caller: { kind: 'operator', keyId: null } });
    expect(ask(bearer(`${OPERATOR}0`))).toMatchObject({ ok: false, fault: 'malformed' });
    book.apply({ kind: 'put', key: madeKey('alice').key });
    expect(guard.needed).toBe('client key');
    expect(ask(bearer(OPERATOR))).toMatchObject({ ok: false, fault: 'operator_key', refusal: { status: 401 } });
  });

  test('opens what tells of all tenants with the operator’s key alone, and to anyone while no key is needed', () => {
    const { text, key } = madeKey('alice');
    const asOperator = (on: ReturnType<typeof guarded>, headers: Sent) => on.guard.admitOperator(new Headers(headers));
    const alone = guarded([], true);
    for (const headers of [{}, bearer('sk-anything')]) {
      expect(asOperator(alone, headers)).toMatchObject({ ok: true, caller: { kind: 'anyone' } });
    }
    for (const on of [guarded([]), guarded([key]), guarded([key], true)]) {
      expect(asOperator(on, bearer(OPERATOR))).toMatchObject({ ok: true, caller: { kind: 'operator' } });
      const refused: readonly [Sent, string][] = [
        [{}, 'missing'],
        [{ 'x-api-key': OPERATOR, 'api-key': OPERATOR }, 'several'],
        [{ authorization: `Basic ${OPERATOR}` }, 'malformed'],
        [bearer(`${OPERATOR}0`), 'unknown'],
        [bearer(text), 'unknown'],
      ];
      for (const [headers, fault] of refused) expect(asOperator(on, headers)).toMatchObject({ ok: false, fault });
    }
  });

  test('says what became of a key that opens nothing any more, by its name and never by its text', async () => {
    const expired = madeKey('expired', { expiresAtMs: 1_700_000_000_100 });
    const revoked = madeKey('revoked', { revokedAtMs: 1_700_000_000_000 });
    const { ask, clock } = guarded([expired.key, revoked.key]);
    expect(ask(bearer(expired.text)).ok).toBe(true);
    await clock.advance(100);
    for (const { text, key } of [expired, revoked]) {
      const answer = ask(bearer(text));
      if (answer.ok) throw new Error('let in');
      expect(answer).toMatchObject({ fault: key.id, keyId: key.id, refusal: { status: 401, code: 'invalid_api_key' } });
      expect(answer.refusal.message).toContain(`"name of ${key.id}"`);
      expect(answer.refusal.message).toContain('2023-11-14T22:13:20');
      expect(answer.refusal.message).not.toContain(text);
    }
    expect(ask(bearer(generateKey()))).toMatchObject({ fault: 'unknown', keyId: null, refusal: { status: 401 } });
  });

  test('tells a service token of the admin API from a client key, without repeating it', () => {
    const { ask, lookUps } = guarded([madeKey('alice').key]);
    const token = generateKey(undefined, TOKEN_START);
    const admitted = ask(bearer(token));
    expect(admitted).toMatchObject({
      ok: false,
      fault: 'malformed',
      refusal: { status: 401, code: 'invalid_api_key' },
    });
    const said = admitted.ok ? '' : admitted.refusal.message;
    expect(said).toStartWith(
      'This is a service token of the admin API (wgl_admin_…), which opens nothing of /v1. Send a client key',
    );
    expect([said.includes(token.slice(10, 20)), lookUps()]).toEqual([false, 0]);
  });

  test('answers 10,000 malformed credentials with 401, looks none of them up and repeats none', () => {
    const { text, key } = madeKey('alice');
    const { guard, ask, lookUps } = guarded([key]);
    const broken = fc.tuple(fc.nat(50), fc.constantFrom(...'0Az$\'"%')).map(([at, digit]) => {
      const changed = text.slice(0, at) + digit + text.slice(at + 1);
      return `Bearer ${changed === text ? text.slice(1) : changed}`;
    });
    const injected = fc.constantFrom("' OR 1=1 --", '{{7*7}}', '$(id)', '../../etc/passwd', '%00');
    const value = fc.oneof(
      broken,
      fc.string({ maxLength: 80 }),
      fc.string({ maxLength: 80 }).map((rest) => `Bearer ${rest}`),
      injected.map((rest) => `Bearer ${text}${rest}`),
      fc.string({ unit: fc.constantFrom(' ', '\t', ',', 'B', 'e', '.', '_', 'w', 'g', 'l'), maxLength: 30 }),
      fc.nat(20_000).map((length) => `Bearer wgl_live_${'a'.repeat(length)}`),
    );
    const statuses = new Map<string, number>();
    fc.assert(
      fc.property(value, (authorization) => {
        const headers = new Headers();
        try {
          headers.set('authorization', authorization);
        } catch {
          // No server gets it this far.
          headers.set('authorization', encodeURIComponent(authorization));
        }
        const answer = guard.admit(headers);
        if (answer.ok) throw new Error('let in');
        const { status, code, message } = answer.refusal;
        const secret = authorization.slice(7).trim();
        if (secret.length > 8) expect(message).not.toContain(secret);
        statuses.set(`${status} ${code}`, (statuses.get(`${status} ${code}`) ?? 0) + 1);
      }),
      { numRuns: 10_000 },
    );
    expect([...statuses]).toEqual([['401 invalid_api_key', 10_000]]);
    expect(lookUps()).toBe(0);
    expect(ask(bearer(text)).ok).toBe(true);
    expect(lookUps()).toBe(1);
  });
});
