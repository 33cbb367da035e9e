import { describe, expect, test } from 'bun:test';
import pg from 'pg';
import { OwnerFenced, StoreUnavailable } from '../../core/ledger.ts';
import { Overtaken } from '../sql/ledger/commit.ts';
import { storeError } from './faults.ts';

/** As PostgreSQL says it. */
function said(code: string): Error {
  const error = new pg.DatabaseError('said', 4, 'error');
  error.code = code;
  return error;
}

/** As a socket, TLS or the driver says it. */
const coded = (code: string): Error => Object.assign(new Error('connect'), { code });

const kindOf = (error: Error): string => {
  const seen = storeError(error);
  return seen instanceof StoreUnavailable ? seen.kind : 'as it is';
};

describe('what goes wrong at PostgreSQL', () => {
  test('is trouble of the store, whatever it is, unless the values themselves are wrong', () => {
    for (const code of ['42501', '42P01', '0A000', '26000', '40001', '40P01', '25P03', '55000', '54000']) {
      expect([code, kindOf(said(code))]).toEqual([code, 'failing']);
    }
    for (const code of ['21000', '22003', '22021', '23505', '23514', 'P0001']) {
      expect([code, kindOf(said(code))]).toEqual([code, 'as it is']);
    }
    expect([kindOf(said('55P03')), kindOf(said('53100')), kindOf(said('57P01'))]).toEqual(['locked', 'full', 'gone']);
  });

  test('is a server that is away where the socket, its encryption or the driver says something', () => {
    const codes = ['ENOENT', 'EACCES', 'ECONNREFUSED', 'EADDRNOTAVAIL', 'ENETDOWN', 'EMFILE', 'CERT_HAS_EXPIRED'];
    for (const code of codes) expect([code, kindOf(coded(code))]).toEqual([code, 'gone']);
    for (const text of ['Connection terminated unexpectedly', 'SASL: no password', 'timeout exceeded']) {
      expect([text, kindOf(new Error(text))]).toEqual([text, 'gone']);
    }
    expect(kindOf(new Overtaken('again and again'))).toBe('gone');
  });

  test('stays as it is where it is a mistake of ours, or known already', () => {
    for (const error of [new TypeError('ours'), new RangeError('ours'), new OwnerFenced('dead')]) {
      expect(storeError(error)).toBe(error);
    }
    const known = new StoreUnavailable('full', 'known');
    expect(storeError(known)).toBe(known);
  });
});
