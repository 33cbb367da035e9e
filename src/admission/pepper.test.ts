import { afterAll, describe, expect, test } from 'bun:test';
import { createHmac } from 'node:crypto';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPrivateFile, readPrivateFile } from '../stores/private-file.ts';
import { generateKey } from './key-format.ts';
import { keyHasher } from './key-hash.ts';
import { loadOrCreatePepper, type PepperFile } from './pepper.ts';

const folder = await mkdtemp(join(tmpdir(), 'pepper-'));
afterAll(() => rm(folder, { recursive: true }));

function file(name: string): PepperFile {
  const path = join(folder, name);
  return { path, read: () => readPrivateFile(path), create: (text) => createPrivateFile(path, text) };
}

describe('the pepper', () => {
  test('is made once, for its owner alone, and stays', async () => {
    const first = await loadOrCreatePepper(file('one'));
    const second = await loadOrCreatePepper(file('one'));
    expect([first.created, second.created]).toEqual([true, false]);
    expect(first.value.reveal()).toMatch(/^[0-9a-f]{64}$/);
    expect(second.value.reveal()).toBe(first.value.reveal());
    if (process.platform !== 'win32') expect((await stat(join(folder, 'one'))).mode & 0o777).toBe(0o600);
  });

  test('is the same for all that start together', async () => {
    const peppers = await Promise.all(Array.from({ length: 8 }, () => loadOrCreatePepper(file('race'))));
    expect(new Set(peppers.map(({ value }) => value.reveal())).size).toBe(1);
    expect(peppers.filter(({ created }) => created)).toHaveLength(1);
  });

  test('is never replaced when its file is damaged: the error names the file, and not what it holds', async () => {
    await writeFile(join(folder, 'damaged'), 'abc123\n');
    const error = await loadOrCreatePepper(file('damaged')).catch((thrown: Error) => thrown);
    expect(String(error)).toContain(join(folder, 'damaged'));
    expect(String(error)).not.toContain('abc123');
    expect(await readPrivateFile(join(folder, 'damaged'))).toBe('abc123\n');
  });

  test('makes the hash of a key HMAC-SHA-256', async () => {
    const { value } = await loadOrCreatePepper(file('one'));
    const key = generateKey();
    const expected = createHmac('sha256', Buffer.from(value.reveal(), 'hex')).update(key).digest('hex');
    expect(keyHasher(value)(key)).toBe(expected);
  });
});
