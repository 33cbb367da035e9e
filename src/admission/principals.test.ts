import { describe, expect, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { TooManyUnknownCredentials } from '../core/credential-flood.ts';
import { ADMIN_KEY_PRINCIPAL, type Principal } from '../core/principal.ts';
import { Secret } from '../core/secret.ts';
import { generateKey, TOKEN_START } from './key-format.ts';
import { Principals } from './principals.ts';

const someone: Principal = { ...ADMIN_KEY_PRINCIPAL, kind: 'token', id: 'tok_1' };
const newSession = (): string => randomBytes(32).toString('base64url');
const ADDRESS = '192.0.2.7';
const newToken = (): string => generateKey(undefined, TOKEN_START);

/** Knows some credentials, and counts how often it is asked for any. */
function desk(...known: string[]) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const knownNow = new Set(known);
  const look = async (text: string): Promise<Principal | null> => {
    asked.push(text);
    return knownNow.has(text) ? someone : null;
  };
  const principals = new Principals(async () => ({ ofToken: look, ofSession: look }), clock);
  return { clock, asked, knownNow, principals };
}

const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

describe('S-01 a credential of the admin API', () => {
  test('that cannot be one is never looked up', async () => {
    const { principals, asked } = desk();
    const token = newToken();
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string({ unit: 'binary' }), fc.nat(token.length - 1)), async (sent) => {
        const changed = (at: number) => `${token.slice(0, at)}${token[at] === 'x' ? 'y' : 'x'}${token.slice(at + 1)}`;
        const text = typeof sent === 'string' ? sent : changed(sent);
        expect(await principals.ofToken(text, ADDRESS)).toBeNull();
        if (!/^[\w-]{43}$/.test(text)) expect(await principals.ofSession(text, ADDRESS)).toBeNull();
      }),
      { numRuns: 2_000 },
    );
    expect(asked).toEqual([]);
  });

  test('that opens nothing is looked up once, and not again within a minute', async () => {
    const { principals, asked, clock } = desk();
    const token = newToken();
    for (let tries = 0; tries < 50; tries++) expect(await principals.ofToken(token, ADDRESS)).toBeNull();
    expect(asked).toEqual([token]);
    await clock.advance(60_000);
    expect(await principals.ofToken(token, ADDRESS)).toBeNull();
    expect(asked).toHaveLength(2);
  });

  test('of a flood is looked up 300 times and then five times a second, and the others are told when to come back', async () => {
    const { principals, asked, clock } = desk();
    let refused = 0;
    for (let tries = 0; tries < 2_000; tries++) {
      const error = await errorOf(principals.ofToken(newToken(), ADDRESS));
      if (error === null) continue;
      refused++;
      expect(error).toBeInstanceOf(TooManyUnknownCredentials);
      expect((error as TooManyUnknownCredentials).waitMs).toBeWithin(1, 201);
    }
    expect([asked.length, refused]).toEqual([300, 1_700]);
    await clock.advance(10_000);
    for (let tries = 0; tries < 200; tries++) await errorOf(principals.ofToken(newToken(), ADDRESS));
    expect(asked).toHaveLength(350);
  });

  test('of a flood is counted for its address: whoever comes from another goes on, a network of IPv6 is one address', async () => {
    const { principals, asked } = desk();
    const lookedUp = async (address: string | null): Promise<boolean> => {
      const before = asked.length;
      await errorOf(principals.ofSession(newSession(), address));
      return asked.length > before;
    };
    for (let tries = 0; tries < 400; tries++) await lookedUp('2001:db8::1');
    expect(await lookedUp('2001:db8:0:0:ffff::9')).toBe(false);
    for (const address of ['2001:db8:0:1::1', '192.0.2.8', null]) expect(await lookedUp(address)).toBe(true);
  });

  test('of a flood from very many addresses is looked up 3000 times and then fifty times a second', async () => {
    const { principals, asked, clock } = desk();
    const flood = async () => {
      for (let tries = 0; tries < 5_000; tries++) {
        await errorOf(principals.ofToken(newToken(), `10.0.${tries % 256}.${tries >> 8}`));
      }
    };
    await flood();
    expect(asked).toHaveLength(3_000);
    await clock.advance(1_000);
    await flood();
    expect(asked).toHaveLength(3_050);
  });

  test('that was given out here is looked up in the middle of a flood, from any address', async () => {
    const [token, session] = [newToken(), newSession()];
    const { principals } = desk(token, session);
    for (let tries = 0; tries < 400; tries++) {
      await errorOf(principals.ofToken(newToken(), ADDRESS));
      await errorOf(principals.ofSession(newSession(), ADDRESS));
    }
    expect(await errorOf(principals.ofSession(session, ADDRESS))).toBeInstanceOf(TooManyUnknownCredentials);
    principals.tokenMade(new Secret(token));
    principals.sessionBegun(new Secret(session));
    expect(await principals.ofToken(token, ADDRESS)).toBe(someone);
    expect(await principals.ofSession(session, ADDRESS)).toBe(someone);
  });

  test('that was good goes on during a flood, is looked up each time, and is refused once it is no more', async () => {
    const good = newToken();
    const { principals, asked, knownNow } = desk(good);
    expect(await principals.ofToken(good, ADDRESS)).toBe(someone);
    for (let tries = 0; tries < 500; tries++) await errorOf(principals.ofToken(newToken(), ADDRESS));
    const before = asked.length;
    for (let tries = 0; tries < 5; tries++) expect(await principals.ofToken(good, ADDRESS)).toBe(someone);
    expect(asked.length - before).toBe(5);
    knownNow.delete(good);
    expect(await principals.ofToken(good, ADDRESS)).toBeNull();
    expect(await principals.ofToken(good, ADDRESS)).toBeNull();
  });

  test('that is good costs nothing of what may be in vain, however many there are', async () => {
    const many = Array.from({ length: 1_000 }, newToken);
    const { principals } = desk(...many);
    for (const token of many) expect(await principals.ofToken(token, ADDRESS)).toBe(someone);
  });

  test('L-04 shares what is remembered of it with no other, however alike they are', async () => {
    const alike = fc.tuple(fc.string({ minLength: 43, maxLength: 43, unit: fc.constantFrom(...'aA0-_') }), fc.nat(42));
    await fc.assert(
      fc.asyncProperty(alike, async ([known, at]) => {
        const other = `${known.slice(0, at)}${known[at] === 'a' ? 'b' : 'a'}${known.slice(at + 1)}`;
        const { principals } = desk(known);
        expect(await principals.ofSession(known, ADDRESS)).toBe(someone);
        expect(await principals.ofSession(other, ADDRESS)).toBeNull();
        expect(await principals.ofSession(known, ADDRESS)).toBe(someone);
      }),
    );
  });

  test('that the store could not answer for is no unknown one', async () => {
    const token = newToken();
    let isGone = true;
    const ofToken = async () => {
      if (isGone) throw new Error('gone');
      return someone;
    };
    const principals = new Principals(async () => ({ ofToken, ofSession: ofToken }), new ManualClock());
    expect(await errorOf(principals.ofToken(token, ADDRESS))).toBeInstanceOf(Error);
    isGone = false;
    expect(await principals.ofToken(token, ADDRESS)).toBe(someone);
  });
});
