import { describe, expect, test } from 'bun:test';
import { CARRIERS, readCredential } from './credential.ts';

function read(headers: Record<string, string>) {
  return readCredential(new Headers(headers));
}

describe('L-29 the credential of a request', () => {
  test('is found wherever clients put it', () => {
    expect(read({})).toEqual({ kind: 'none' });
    expect(read({ authorization: 'Bearer abc' })).toEqual({ kind: 'sent', carrier: 'authorization', text: 'abc' });
    expect(read({ authorization: 'bearer   abc ' })).toEqual({ kind: 'sent', carrier: 'authorization', text: 'abc' });
    expect(read({ 'x-api-key': 'abc' })).toEqual({ kind: 'sent', carrier: 'x-api-key', text: 'abc' });
    expect(read({ 'api-key': 'abc' })).toEqual({ kind: 'sent', carrier: 'api-key', text: 'abc' });
  });

  test('is refused with 400 when two carriers are used, also when both say the same, or nothing', () => {
    for (const first of CARRIERS) {
      for (const second of CARRIERS) {
        if (first === second) continue;
        for (const value of ['Bearer abc', '']) {
          const credential = read({ [first]: value, [second]: value });
          expect(credential).toMatchObject({ kind: 'several', refusal: { status: 400, code: 'multiple_credentials' } });
        }
      }
    }
    expect(read({ 'x-api-key': 'a', 'api-key': 'a' })).toMatchObject({
      refusal: { message: 'Two credentials were sent, in the headers x-api-key and api-key. Send one of them.' },
    });
  });

  test.each([
    [{ authorization: 'Basic c2VjcmV0' }, 'The header Authorization', 'must read "Bearer <key>"'],
    [{ authorization: 'secret' }, 'The header Authorization', 'must read "Bearer <key>"'],
    [{ authorization: 'Bearersecret' }, 'The header Authorization', 'must read "Bearer <key>"'],
    [{ authorization: 'Bearer' }, 'The header Authorization', 'it is empty'],
    [{ authorization: 'Bearer secret secret' }, 'The header Authorization', 'it has blanks inside'],
    [{ 'x-api-key': '' }, 'The header x-api-key', 'it is empty'],
    [{ 'api-key': 'secret secret' }, 'The header api-key', 'it has blanks inside'],
  ])('is refused with 401 when it cannot be one: %j', (headers, where, fault) => {
    const credential = read(headers);
    if (credential.kind !== 'malformed') throw new Error(credential.kind);
    expect(credential.refusal).toMatchObject({ status: 401, code: 'invalid_api_key' });
    expect(credential.refusal.message).toContain(where);
    expect(credential.refusal.message).toContain(fault);
    expect(credential.refusal.message).not.toMatch(/secret|c2VjcmV0/);
  });

  test('sent twice in one header is not one credential', () => {
    const headers = new Headers();
    headers.append('authorization', 'Bearer abc');
    headers.append('authorization', 'Bearer def');
    expect(readCredential(headers)).toMatchObject({ kind: 'malformed', refusal: { status: 401 } });
  });
});
