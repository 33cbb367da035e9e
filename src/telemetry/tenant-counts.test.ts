import { expect, test } from 'bun:test';
import { TenantCountsTable } from './tenant-counts.ts';

const tenant = (organisationId: string, projectId = 'web') => ({ organisationId, projectId });
const usage = { promptTokens: 3, completionTokens: 5, cachedTokens: null, reasoningTokens: 0, costNanoUsd: null };

test('S-18 projects of the same id in two organisations are counted apart, and all keys of one together', () => {
  const table = new TenantCountsTable(10);
  for (const caller of [tenant('a'), tenant('b'), tenant('a')]) table.countRequest(caller, 'served');
  table.countTokens(tenant('b'), usage as never);
  expect(table.all()).toMatchObject([
    { organisation: 'a', project: 'web', requests: { served: 2 }, tokens: { prompt: 0 } },
    { organisation: 'b', project: 'web', requests: { served: 1 }, tokens: { prompt: 3, completion: 5 } },
  ]);
});

test('S-11 projects beyond the limit are counted together, under a name that none can have', () => {
  const table = new TenantCountsTable(2);
  for (const id of ['a', 'b', 'c', 'd', 'a', 'c']) table.countRequest(tenant(id), 'served');
  expect(table.all().map(({ organisation, requests }) => [organisation, requests.served])).toEqual([
    ['a', 2],
    ['b', 1],
    ['(other)', 3],
  ]);
});
