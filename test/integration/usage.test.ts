import { describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../src/cli/program.ts';
import { recordedTerminal } from '../../src/cli/terminal-fixture.ts';
import { type TestGateway, targetFor } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const CLOUD_MODEL = 'openai/gpt-4o-mini';

const usageOf = (started: TestGateway, query = '', key = started.adminKey) =>
  fetch(`${started.url}/admin/usage${query}`, { headers: { authorization: `Bearer ${key}` } });

async function localAndCloud(change = {}) {
  const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }], replyTokens: 12 });
  const cloud = await simulator({ kind: 'openrouter', models: [{ id: CLOUD_MODEL }], replyTokens: 20 });
  const started = await gateway([targetFor(local), targetFor(cloud)], { usage: true, ...change });
  return { local, cloud, started };
}

const ask = (model: string, stream = false) => ({
  model,
  stream,
  messages: [{ role: 'user', content: 'hello there' }],
});

describe('what calls used and cost', () => {
  test('is on record when the client has its answer, streamed or whole, by model and target', async () => {
    const { started } = await localAndCloud();
    const whole = await (await started.chat(ask('lmstudio/qwen'))).json();
    await (await started.chat(ask('lmstudio/qwen', true))).text();
    await (await started.chat(ask(`openrouter/${CLOUD_MODEL}`))).text();
    const { rows, total } = await (await usageOf(started)).json();
    const of = (target: string) => rows.find((row: { target: string }) => row.target === target);
    expect(of('lmstudio')).toMatchObject({ model: 'qwen', requests: 2, attempts: 2, cost_usd: 0, open: 0 });
    expect(of('lmstudio').output_tokens).toBe(2 * whole.usage.completion_tokens);
    expect(of('openrouter')).toMatchObject({ model: CLOUD_MODEL, requests: 1, unpriced: 0 });
    expect(of('openrouter').cost_usd).toBeGreaterThan(0);
    expect(total).toMatchObject({ requests: 3, cost_usd: of('openrouter').cost_usd });
  });

  test('counts a request once that was tried twice, and a day by its date', async () => {
    const { local, started } = await localAndCloud();
    await local.setFault({ kind: 'status', status: 500 });
    await (await started.chat(ask(CLOUD_MODEL))).text();
    const { rows } = await (await usageOf(started, '?group_by=place,day')).json();
    expect(rows.map(({ place, requests }: { place: string; requests: number }) => [place, requests])).toEqual([
      ['cloud', 1],
      ['local', 1],
    ]);
    expect(rows[0].day).toBe(new Date().toISOString().slice(0, 10));
    expect((await (await usageOf(started)).json()).total).toMatchObject({ requests: 1, attempts: 2 });
  });

  test('is there after a restart', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-usage-'));
    try {
      const { started } = await localAndCloud({ dataDir });
      await (await started.chat(ask('lmstudio/qwen'))).text();
      await started.gateway.stop(0);
      const { started: again } = await localAndCloud({ dataDir });
      expect((await (await usageOf(again)).json()).total.requests).toBe(1);
      await again.gateway.stop(0);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  test('can be taken away as CSV that no spreadsheet runs, and as lines of JSON', async () => {
    const { started } = await localAndCloud();
    const invented = '=HYPERLINK("http://x"),y';
    await (await started.chat(ask(`openrouter/${invented}`))).text();
    await (await started.chat(ask('lmstudio/qwen'))).text();
    const csv = await usageOf(started, '/export');
    expect(csv.headers.get('content-type')).toStartWith('text/csv');
    const [heading, ...lines] = (await csv.text()).trimEnd().split('\r\n');
    expect(heading?.split(',')).toContain('cost_nano_usd');
    expect(lines.every((line) => !/(^|,)[=+@]/.test(line))).toBe(true);
    const json = await (await usageOf(started, '/export?format=json')).text();
    const records = json
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(records).toHaveLength(lines.length);
    expect(records.at(-1)).toMatchObject({ target_id: 'lmstudio', model: 'qwen', state: 'settled' });
  });

  test('is summed and taken away on the command line too, of one project where one is asked for', async () => {
    const { started } = await localAndCloud();
    await (await started.chat(ask('lmstudio/qwen'))).text();
    const run = async (...words: string[]) => {
      const terminal = recordedTerminal({ environment: { SWARMROUTER_ADMIN_KEY: started.adminKey } });
      const code = await runProgram([...words, '--url', started.url], terminal);
      return { code, ...terminal.written() };
    };
    expect((await run('usage', '--by', 'target', '--project', 'default')).out).toMatch(/^lmstudio +1 /m);
    expect((await run('usage', '--project', 'web')).out).toContain('No call is on record');
    expect((await run('usage', 'export')).out).toBe(await (await usageOf(started, '/export')).text());
    const lines = await run('usage', 'export', '--format', 'json', '--project', 'default');
    expect(JSON.parse(lines.out)).toMatchObject({ target_id: 'lmstudio', model: 'qwen' });
    expect((await run('usage', 'export', '--format', 'json', '--project', 'web')).out).toBe('');
    expect(await run('usage', 'export', '--from', 'once')).toMatchObject({ code: 2, out: '' });
    expect(await run('usage', 'sum')).toMatchObject({
      ...{ code: 2, out: '' },
      error: expect.stringContaining('unknown command "sum" of "usage": there are show, export.'),
    });
  });

  test('of a time without calls is an empty table with its heading', async () => {
    const { started } = await localAndCloud();
    const query = '?from=2020-01-01&to=2020-01-02';
    expect(await (await usageOf(started, `/export${query}`)).text()).toMatch(
      /^organisation_id,[a-z_,]+,estimated\r\n$/,
    );
    expect(await (await usageOf(started, `/export${query}&format=json`)).text()).toBe('');
  });

  test('is asked for rightly, or the reply says how', async () => {
    const { started } = await localAndCloud();
    const wrong = [
      '?group_by=colour',
      '?from=yesterday',
      '?from=2026-12-02&to=2026-12-01',
      '?limit=3',
      '/export?format=xls',
    ];
    for (const query of wrong) {
      const reply = await usageOf(started, query);
      const { error } = await reply.json();
      expect([reply.status, error.code]).toEqual([400, 'invalid_query']);
    }
    expect((await usageOf(started, '', 'wrong')).status).toBe(401);
  });

  test('is not kept where nobody wants it, and the reply says how to', async () => {
    const local = await simulator({ kind: 'lm-studio' });
    const started = await gateway([targetFor(local)]);
    const reply = await usageOf(started);
    const { error } = await reply.json();
    expect([reply.status, error.code]).toEqual([404, 'usage_not_kept']);
    expect(error.message).toContain('SWARMROUTER_USAGE=true');
  });
});
