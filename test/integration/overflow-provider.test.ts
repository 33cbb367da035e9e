import { describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { targetOf } from '../support/fleet.ts';
import { readEvents, type TestGateway, targetFor } from '../support/gateway.ts';
import { inference, runningParts, servedBy } from '../support/running.ts';

const { simulator, gateway } = runningParts();

const admin = (to: TestGateway, method: string, path: string, body?: object) =>
  fetch(`${to.url}/admin${path}`, {
    method,
    headers: { authorization: `Bearer ${to.adminKey}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
const ask = (to: TestGateway, model = 'gpt-4o') => to.chat({ model, messages: [{ role: 'user', content: 'hi' }] });

describe('an overflow provider given at run time', () => {
  test('is in force for the next request, and its key is never given back', async () => {
    const cloud = await simulator({ kind: 'azure-openai', apiKey: 'secret-azure-key-123', models: [{ id: 'dep' }] });
    const here = await gateway([]);
    expect((await ask(here)).status).toBe(503);
    const added = await admin(here, 'POST', '/overflow_provider', {
      type: 'azure',
      endpoint: cloud.baseUrl,
      api_key: 'secret-azure-key-123',
      deployments: { 'gpt-4o': 'dep' },
      network: 'lan',
      verify: true,
    });
    expect(added.status).toBe(201);
    expect(await added.text()).not.toContain('secret-azure-key-123');
    const answer = await ask(here);
    expect([answer.status, servedBy(answer)]).toEqual([200, 'azure']);
    const status = await admin(here, 'GET', '/status');
    const text = await status.text();
    expect(text).not.toContain('secret-azure-key-123');
    expect(JSON.parse(text).targets[0]).toMatchObject({ id: 'azure', source: 'admin', requests: 1, errors: 0 });
  });

  test('is refused with the reason when a free call shows a wrong key, and nothing is changed', async () => {
    const cloud = await simulator({ kind: 'openrouter', apiKey: 'right', models: [{ id: 'openai/gpt-4o' }] });
    const here = await gateway([]);
    const refused = await admin(here, 'POST', '/overflow_provider', {
      type: 'openrouter',
      api_key: 'wrong-key-0000',
      base_url: cloud.baseUrl,
      network: 'lan',
      verify: true,
    });
    expect([refused.status, (await refused.json()).error.code]).toEqual([422, 'verification_failed']);
    expect(inference(cloud)).toEqual([]);
    expect((await ask(here)).status).toBe(503);
  });

  test('must have a public address unless the LAN is meant, and never the metadata address', async () => {
    const here = await gateway([]);
    for (const [base_url, network] of [
      ['http://127.0.0.1:9/v1', 'public'],
      ['http://localhost:9/v1', 'public'],
      ['http://[::ffff:127.0.0.1]:9/v1', 'public'],
      ['http://169.254.169.254/latest', 'lan'],
    ]) {
      const refused = await admin(here, 'POST', '/overflow_provider', {
        type: 'openai-compatible',
        name: 'x',
        base_url,
        api_key: 'key-key-key-key',
        network,
      });
      expect([refused.status, (await refused.json()).error.code]).toEqual([400, 'invalid_overflow_provider']);
    }
  });

  test('is never the gateway itself, whatever it is called', async () => {
    const here = await gateway([]);
    const { port } = new URL(here.url);
    for (const host of ['127.0.0.1', '[::ffff:127.0.0.1]', '0.0.0.0', '[2002:7f00:1::]']) {
      const base_url = `http://${host}:${port}/v1`;
      const body = { type: 'openai-compatible', name: 'x', base_url, api_key: 'key-key-key-key', network: 'lan' };
      const refused = await admin(here, 'POST', '/overflow_provider', body);
      const text = await refused.text();
      expect(refused.status).toBe(400);
      expect(text).toContain('this gateway itself');
    }
  });

  test('is kept over a restart, stronger than the settings, until it is deleted; streams in flight go on', async () => {
    const settings = await simulator({
      kind: 'openrouter',
      apiKey: 'from-settings',
      models: [{ id: 'openai/gpt-4o' }],
    });
    const given = await simulator({
      kind: 'openrouter',
      apiKey: 'from-admin-12345',
      models: [{ id: 'openai/gpt-4o' }],
      replyTokens: 30,
      tokensPerSecond: 100,
    });
    const dataDir = mkdtempSync(join(tmpdir(), 'swarmrouter-test-'));
    try {
      const base = { ...targetFor(settings), apiKey: null };
      const before = await gateway([base], { dataDir });
      const body = { type: 'openrouter', api_key: 'from-admin-12345', base_url: given.baseUrl, network: 'lan' };
      expect((await admin(before, 'POST', '/overflow_provider', body)).status).toBe(201);
      expect((await ask(before)).status).toBe(200);
      await before.stop();

      const after = await gateway([base], { dataDir });
      expect((await ask(after)).status).toBe(200);
      expect(inference(settings)).toEqual([]);
      const streaming = await after.chat({
        model: 'gpt-4o',
        stream: true,
        messages: [{ role: 'user', content: 'hi' }],
      });
      const removed = await admin(after, 'DELETE', '/overflow_provider/openrouter');
      expect(removed.status).toBe(200);
      expect((await readEvents(streaming)).at(-1)).toBe('[DONE]');
      expect(after.gateway.targets().map((view) => [view.target.id, view.target.source])).toEqual([
        ['openrouter', 'yaml'],
      ]);
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  });
});

describe('a target of the settings that leads back to the gateway', () => {
  test('is out of service from the start, and says why', async () => {
    const held = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } });
    const { port } = held;
    held.stop(true);
    const target = targetOf({ id: 'myself', kind: 'openai-compatible' });
    const here = await gateway([{ ...target, baseUrl: `http://localhost:${port}/v1` }], { port });
    expect(JSON.stringify(here.gateway.targets())).toContain('this gateway itself');
    expect((await ask(here)).status).toBe(503);
  });
});
