import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { ending, starting } from '../../test/contract/store-support.ts';
import type { LedgerOperation } from './ledger.ts';
import { decodeOperations, EncodedOperations, encodeOperations } from './ledger-text.ts';

const names = fc.constantFrom('a', 'b', 'ä "quoted" 🎈');
const operations = fc.array(
  fc.oneof(
    fc.record({ name: names, enforce: fc.boolean(), model: fc.string() }).map(({ name, enforce, model }) => {
      const starts: LedgerOperation = starting(name, { model, stream: enforce }, enforce);
      return starts;
    }),
    fc
      .record({ name: names, organisation: fc.constantFrom('default', 'other'), cost: fc.option(fc.nat()) })
      .map(
        ({ name, organisation, cost }): LedgerOperation =>
          ending(name, { costNanoUsd: cost, status: null, estimated: cost === null }, organisation),
      ),
  ),
);

test('operations come back from their text as they were, in their order, whatever lies side by side', () => {
  fc.assert(
    fc.property(operations, operations, (some, others) => {
      expect(decodeOperations(encodeOperations(some))).toEqual(some);
      const texts = [encodeOperations(some), encodeOperations(others)];
      expect([...new EncodedOperations(texts, some.length + others.length)]).toEqual([...some, ...others]);
    }),
  );
});

test('a call that begins and ends side by side is one record', () => {
  const call = [starting('a', {}, false), ending('a')];
  expect(JSON.parse(encodeOperations(call))).toHaveLength(1);
  expect(encodeOperations(call).length).toBeLessThan(400);
});

test('what earlier versions wrote is read: an operation as an object', () => {
  for (const operation of [starting('a'), ending('a')]) {
    expect(decodeOperations(JSON.stringify(operation))).toEqual([operation]);
  }
});
