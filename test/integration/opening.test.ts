import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';
import { temporaryFolders } from '../support/temporary-folders.ts';

const folder = temporaryFolders('opening');
const { gateway: startGateway } = runningParts();

function started(dataDir: string): Promise<TestGateway> {
  return startGateway([], { dataDir, awaitProbes: false });
}

function makeKey(gateway: TestGateway, name: string): Promise<Response> {
  return fetch(`${gateway.url}/admin/keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.adminKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name }),
  });
}

/** SQLite keeps this file while somebody has the store open, and removes it with the last who closes it. */
const isOpen = (dataDir: string): boolean => existsSync(join(dataDir, 'swarmrouter.db-wal'));

describe('first keys that are made at once', () => {
  test('have one ledger between them', async () => {
    const dataDir = await folder();
    const gateway = await started(dataDir);
    const replies = await Promise.all(['alice', 'bob', 'carol'].map((name) => makeKey(gateway, name)));
    expect(replies.map(({ status }) => status)).toEqual([201, 201, 201]);
    const locks = (await readdir(join(dataDir, 'journal'))).filter((name) => name.endsWith('.lock'));
    expect(locks).toHaveLength(1);
  }, 20_000);
});

describe('a store that cannot be taken into use', () => {
  test('is closed again when the start fails at the ledger', async () => {
    const dataDir = await folder();
    await writeFile(join(dataDir, 'journal'), 'not a folder');
    await expect(startTestGateway([], { dataDir, usage: true, awaitProbes: false })).rejects.toThrow('journal');
    expect(isOpen(dataDir)).toBe(false);
  });

  test('leaves nothing open when the first key wants it, and is opened by the next try', async () => {
    const dataDir = await folder();
    const gateway = await started(dataDir);
    const pepper = join(dataDir, 'key-pepper');
    await writeFile(pepper, 'no pepper\n', { mode: 0o600 });
    expect((await makeKey(gateway, 'alice')).status).toBe(500);
    await rm(pepper);
    expect((await makeKey(gateway, 'alice')).status).toBe(201);
    expect(isOpen(dataDir)).toBe(true);
    await gateway.gateway.stop(0);
    expect(isOpen(dataDir)).toBe(false);
  });

  test('takes a ledger that could not be opened into use with the next key', async () => {
    const dataDir = await folder();
    const gateway = await started(dataDir);
    const journal = join(dataDir, 'journal');
    await writeFile(journal, 'not a folder');
    expect((await makeKey(gateway, 'alice')).status).toBe(500);
    await rm(journal);
    await mkdir(journal);
    expect((await makeKey(gateway, 'bob')).status).toBe(201);
    expect((await readdir(journal)).filter((name) => name.endsWith('.lock'))).toHaveLength(1);
  });
});
