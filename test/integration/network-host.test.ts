import { describe, expect, test } from 'bun:test';
import { readdir } from 'node:fs/promises';
import type { TestGateway } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';
import { storeKeys } from '../support/stored-keys.ts';
import { temporaryFolders } from '../support/temporary-folders.ts';

const folder = temporaryFolders('network-host');
const { gateway: startGateway } = runningParts();

function started(dataDir: string, change = {}): Promise<TestGateway> {
  return startGateway([], { dataDir, host: '0.0.0.0', adminKey: null, awaitProbes: false, ...change });
}

const models = async ({ gateway }: TestGateway, key: string | null): Promise<number> => {
  const url = `http://127.0.0.1:${gateway.port}/v1/models`;
  return (await fetch(url, key === null ? {} : { headers: { authorization: `Bearer ${key}` } })).status;
};

const REFUSED = /SWARMROUTER_HOST.*others could reach the gateway.*\n.*Fix: set SWARMROUTER_ADMIN_KEY/;

describe('at an address that others can reach, without SWARMROUTER_ADMIN_KEY', () => {
  test('the gateway starts with a stored client key, which alone opens /v1', async () => {
    const dataDir = await folder();
    const { alice } = await storeKeys(dataDir, { alice: {} });
    const gateway = await started(dataDir);
    expect(gateway.gateway.credentialNeeded()).toBe('client key');
    expect(await models(gateway, null)).toBe(401);
    expect(await models(gateway, alice ?? '')).toBe(200);
  });

  test('it starts with a client key that was revoked: nobody gets in, and nobody ever did without a key', async () => {
    const dataDir = await folder();
    await storeKeys(dataDir, { alice: { revokedAtMs: 1 } });
    expect(await models(await started(dataDir), null)).toBe(401);
  });

  test('it refuses to start while there is no store, and makes nothing', async () => {
    const dataDir = await folder();
    await expect(started(dataDir, { usage: true })).rejects.toThrow(REFUSED);
    expect((await readdir(dataDir)).filter((name) => name !== 'log.jsonl')).toEqual([]);
  });

  test('it refuses to start with a store that has no client key; an admin key that it made itself does not count', async () => {
    const dataDir = await folder();
    await storeKeys(dataDir, {});
    const onLoopback = await started(dataDir, { host: '127.0.0.1' });
    await onLoopback.gateway.stop(0);
    expect(await readdir(dataDir)).toContain('admin-key');
    await expect(started(dataDir)).rejects.toThrow(REFUSED);
    // The store was closed again.
    expect(await readdir(dataDir)).not.toContain('swarmrouter.db-wal');
  });
});
