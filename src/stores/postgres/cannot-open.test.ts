import { expect, test } from 'bun:test';
import { StoreUnavailable } from '../../core/ledger.ts';
import { cannotOpen } from './cannot-open.ts';

const URL_TEXT = 'postgres://me:geheim@db.example/name';
const failed = (message: string, code?: string) =>
  Object.assign(new Error(message), code === undefined ? {} : { code });

test.each([
  ['ECONNREFUSED', 'the database cannot be reached at db.example:5432: '],
  ['57P03', 'the database cannot be reached at db.example:5432: '],
  ['28P01', 'the database server at db.example:5432 does not let us in: '],
  ['3D000', 'db.example:5432 has no database "name": '],
  ['42501', 'the user may not make tables in "name" at db.example:5432: '],
  ['42P07', 'the database "name" at db.example:5432 cannot be used: '],
  ['ERR_ASSERTION', 'the database "name" at db.example:5432 cannot be used: '],
])('%s is told by what it means, however deep it lies', (code, beginning) => {
  const inner = failed('its own words', code);
  const deep = new Error('the tables', { cause: new StoreUnavailable('gone', 'its own words', { cause: inner }) });
  for (const error of [inner, deep]) {
    const { message } = cannotOpen(error, URL_TEXT);
    expect(message).toStartWith(`${beginning}its own words. `);
    expect(message).not.toContain('geheim');
  }
});

test('what the driver says without a code is told by its words', () => {
  const toldOf = (message: string, url = URL_TEXT) => cannotOpen(failed(message), url).message;
  expect(toldOf('timeout exceeded when trying to connect')).toContain('cannot be reached');
  expect(toldOf('SASL: client password must be a string')).toContain('does not let us in');
  expect(toldOf('the store holds 1e99')).toContain('cannot be used');
  expect(toldOf('timeout', 'postgres:///name?host=/run/pg&port=6000')).toContain('reached at /run/pg:6000');
});

test.each([
  ['postgres://me:pw-0123@/name?host=/run/pg', '/run/pg:5432'],
  ['postgres://me:pw-0123@/name', 'localhost:5432'],
  ['postgres://me:pw-0123@/name?port=6000', 'localhost:6000'],
  ['postgres://%2Frun%2Fpg/name', '/run/pg:5432'],
  ['postgres://me:pw-0123@%2Frun%2Fpg:6000/name', '/run/pg:6000'],
])('%s is told with its place', (url, server) => {
  const told = (code: string) => cannotOpen(failed('its own words', code), url).message;
  expect(told('ENOENT')).toStartWith(`the database cannot be reached at ${server}: `);
  expect(told('3D000')).toStartWith(`${server} has no database "name": `);
  expect(told('ENOENT')).not.toContain('pw-0123');
});
