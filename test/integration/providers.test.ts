import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readEvents, type TestGateway, targetFor, until } from '../support/gateway.ts';
import { inference, runningParts, servedBy } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const KEY = 'key-of-the-box-0123456789';

async function admin(to: TestGateway, method: string, path: string, body?: object, headers = {}) {
  const reply = await fetch(`${to.url}/admin/${path}`, {
    method,
    headers: { authorization: `Bearer ${to.adminKey}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await reply.text();
  expect(text).not.toContain(KEY);
  return { status: reply.status, etag: reply.headers.get('etag') ?? '', body: JSON.parse(text) };
}
const ask = (to: TestGateway, change: object = {}) =>
  to.chat({ model: 'auto', messages: [{ role: 'user', content: 'hi' }], ...change });
const idsOf = (to: TestGateway) => to.gateway.targets().map(({ target }) => `${target.id} ${target.source}`);
const dataFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-providers-'));
  folders.push(folder);
  return folder;
};

describe('a model server given at run time', () => {
  test('answers the next request, is configured anew while it does, and no later one once it is deleted', async () => {
    const studio = await simulator({
      kind: 'lm-studio',
      models: [{ id: 'qwen' }],
      replyTokens: 40,
      tokensPerSecond: 80,
    });
    const here = await gateway([]);
    expect((await ask(here)).status).toBe(503);
    const added = await admin(here, 'POST', 'providers', { name: 'studio', kind: 'lm-studio', url: studio.baseUrl });
    expect([added.status, added.body.provider.health.status]).toEqual([201, 'up']);
    const streaming = await ask(here, { stream: true });
    expect([streaming.status, servedBy(streaming)]).toEqual([200, 'studio']);

    const path = 'providers/studio';
    const changed = await admin(here, 'PATCH', path, { max_concurrent: 1 }, { 'if-match': added.etag });
    // The same server: the stream that runs there still takes its slot.
    expect(changed.body.provider).toMatchObject({ revision: 2, health: { status: 'up', slots: 1, in_flight: 1 } });

    expect((await admin(here, 'DELETE', path)).body).toMatchObject({ removed: 'studio', now_in_force: null });
    expect((await ask(here)).status).toBe(503);
    expect((await readEvents(streaming)).at(-1)).toBe('[DONE]');
    expect(inference(studio)).toHaveLength(1);
  });

  for (const kind of ['lm-studio', 'ollama', 'llama-cpp', 'vllm', 'sglang', 'auto'] as const) {
    test(`of kind ${kind} is found up and serves, with its key`, async () => {
      const server = await simulator({
        ...{ kind: kind === 'auto' ? 'vllm' : kind, models: [{ id: 'qwen' }], replyTokens: 3 },
        ...(kind === 'auto' ? {} : { apiKey: KEY }),
      });
      const here = await gateway([]);
      const body = {
        name: 'box',
        kind,
        url: server.baseUrl,
        ...(kind === 'auto' ? {} : { api_key: KEY, verify: true }),
      };
      expect((await admin(here, 'POST', 'providers', body)).status).toBe(201);
      await until('it serves', async () => (await ask(here)).status === 200);
      const { body: shown } = await admin(here, 'GET', 'providers/box');
      expect(shown).toMatchObject({ kind, found_kind: kind === 'auto' ? 'vllm' : null, health: { status: 'up' } });
    });
  }

  test('is kept over restarts with its key sealed, in the same order, and so is what was deleted', async () => {
    const server = await simulator({ kind: 'vllm', apiKey: KEY, models: [{ id: 'qwen' }], replyTokens: 3 });
    const dataDir = dataFolder();
    const base = targetFor(await simulator({ kind: 'lm-studio', models: [] }), { id: 'local' });
    const before = await gateway([base], { dataDir });
    for (const name of ['gone', 'box']) {
      const body = { name, kind: 'vllm', url: server.baseUrl, api_key: KEY, max_concurrent: 3 };
      expect((await admin(before, 'POST', 'providers', body)).status).toBe(201);
    }
    await admin(before, 'DELETE', 'providers/gone');
    const shown = (await admin(before, 'GET', 'providers/box')).body;
    await before.stop();
    expect(readFileSync(join(dataDir, 'overflow-providers.json'), 'utf8')).not.toContain(KEY);

    const after = await gateway([base], { dataDir });
    expect(idsOf(after)).toEqual(['local yaml', 'box admin']);
    const reply = await ask(after, { model: 'qwen' });
    expect([reply.status, servedBy(reply)]).toEqual([200, 'box']);
    const { health: _, ...again } = (await admin(after, 'GET', 'providers/box')).body;
    expect(shown).toMatchObject(again);
  });

  test('in place of what was only found at its address counts once', async () => {
    const studio = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }] });
    const found = { ...targetFor(studio), source: 'found', optional: true } as const;
    const here = await gateway([found]);
    await admin(here, 'POST', 'providers', { name: 'studio', kind: 'lm-studio', url: studio.baseUrl });
    expect(idsOf(here)).toEqual(['studio admin']);
    // The name alone brings nothing back while another has the address.
    await admin(here, 'POST', 'providers', { name: 'lmstudio', kind: 'lm-studio', url: 'http://127.0.0.1:9' });
    const removed = await admin(here, 'DELETE', 'providers/lmstudio');
    expect([removed.status, removed.body.now_in_force]).toEqual([200, null]);
    await admin(here, 'DELETE', 'providers/studio');
    expect(idsOf(here)).toEqual(['lmstudio found']);
  });

  test('is never a metadata service nor the gateway itself, by no kind and no way', async () => {
    const here = await gateway([]);
    const { port } = new URL(here.url);
    await admin(here, 'POST', 'providers', { name: 'ok', kind: 'vllm', url: 'http://127.0.0.1:1' });
    const hosts = ['169.254.169.254', `127.0.0.1:${port}`, `localhost:${port}`, `0.0.0.0:${port}`, '[fd00:ec2::254]'];
    for (const host of hosts) {
      for (const kind of ['lm-studio', 'auto', 'openai-compatible']) {
        const url = `http://${host}/v1`;
        const body = { name: 'x', kind, url, network: 'lan' };
        expect([host, (await admin(here, 'POST', 'providers', body)).body.error?.param]).toEqual([host, 'url']);
      }
      expect((await admin(here, 'PATCH', 'providers/ok', { url: `http://${host}/v1` })).status).toBe(400);
    }
    expect(idsOf(here)).toEqual(['ok admin']);
  });

  test('is refused when a free call fails, and nothing is changed', async () => {
    const server = await simulator({ kind: 'vllm', apiKey: 'right-key-0123456789', models: [{ id: 'qwen' }] });
    const here = await gateway([]);
    const body = { name: 'box', kind: 'vllm', url: server.baseUrl, api_key: KEY, verify: true };
    const refused = await admin(here, 'POST', 'providers', body);
    expect([refused.status, refused.body.error.code]).toEqual([422, 'verification_failed']);
    expect([idsOf(here), inference(server)]).toEqual([[], []]);
  });
});

test('the overflow providers are a front to the same list', async () => {
  const here = await gateway([]);
  const cloud = {
    type: 'openai-compatible',
    name: 'lab',
    base_url: 'http://127.0.0.1:9/v1',
    api_key: KEY,
    network: 'lan',
  };
  expect((await admin(here, 'POST', 'overflow_provider', cloud)).etag).toBe('"1"');
  await admin(here, 'POST', 'providers', { name: 'studio', kind: 'lm-studio', url: 'http://127.0.0.1:9' });
  expect((await admin(here, 'GET', 'providers/lab')).body.given).toEqual({
    ...{ name: 'lab', kind: 'openai-compatible', url: 'http://127.0.0.1:9/v1', network: 'lan' },
  });
  await admin(here, 'PATCH', 'providers/lab', { default_model: 'large' });
  const { providers } = (await admin(here, 'GET', 'overflow_provider')).body;
  expect(providers).toMatchObject([{ name: 'lab', type: 'openai-compatible', default_model: 'large', network: 'lan' }]);
  const late = await admin(here, 'POST', 'overflow_provider', cloud, { 'if-match': '"1"' });
  expect([late.status, late.body.error.code]).toEqual([412, 'revision_conflict']);
  expect((await admin(here, 'DELETE', 'overflow_provider/lab')).status).toBe(200);
  expect(idsOf(here)).toEqual(['studio admin']);
});

test('what was changed is on the audit log, before and after, keys as fingerprints', async () => {
  const here = await gateway([], { usage: true });
  await admin(here, 'POST', 'providers', { name: 'box', kind: 'vllm', url: 'http://127.0.0.1:9', api_key: KEY });
  await admin(here, 'PATCH', 'providers/box', { max_concurrent: 2 });
  await admin(here, 'DELETE', 'providers/box');
  const { entries } = (await admin(here, 'GET', 'audit')).body;
  expect(entries).toMatchObject([
    { action: 'provider.remove', subject: 'provider:box', before: { maxConcurrent: 2 }, after: null },
    { action: 'provider.update', before: { maxConcurrent: null }, after: { maxConcurrent: 2 } },
    { action: 'provider.add', before: null, after: { kind: 'vllm', network: 'lan' } },
  ]);
  expect(entries[2].after.apiKey).toMatch(/^fingerprint:/);
});
