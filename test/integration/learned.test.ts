import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestGateway, targetFor } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'swarmrouter-learned-'));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const file = (): string => join(dataDir, 'learned.json');
const request = { model: 'sim-model', messages: [{ role: 'user', content: 'word '.repeat(200) }], stream: true };

async function ask(here: TestGateway, times: number): Promise<void> {
  for (let n = 0; n < times; n++) await (await here.chat(request)).text();
}

/** To the end of the gateway: its log is written then at the latest. */
async function warningsOf(here: TestGateway): Promise<string[]> {
  await here.stop();
  return readFileSync(join(dataDir, 'log.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line.includes('learned speeds'));
}

describe('what was learned', () => {
  test('is known after a restart', async () => {
    const server = await simulator({ kind: 'llama-cpp' });
    const before = await gateway([targetFor(server)], { dataDir });
    await ask(before, 4);
    const [was] = before.gateway.targets();
    await before.stop();
    expect(readdirSync(dataDir)).toContain('learned.json');
    const after = await gateway([targetFor(server)], { dataDir, logLevel: 'warn' });
    const [is] = after.gateway.targets();
    expect(is?.learned).toMatchObject([{ model: 'sim-model', samples: was?.learned[0]?.samples as number }]);
    expect(await warningsOf(after)).toEqual([]);
  });

  test.each([
    ['bytesPerToken of 1e-6', 'bytesPerToken', { bytesPerToken: 1e-6 }],
    ['bytesPerToken of 5e-324', 'bytesPerToken', { bytesPerToken: 5e-324 }],
    ['writing speed of 1e300', 'writing', { writing: [[1, 1e300, 1]] }],
    ['load of 1e308 s', 'loadSeconds', { loadSeconds: 1e308 }],
    ['reading speed of 1e308', 'reading', { reading: { start: 1e308, slope: 1e308, lengths: [100, 500, 900] } }],
  ])('steers nothing with a %s that somebody wrote, and the log names it', async (_, field, change) => {
    const server = await simulator({ kind: 'lm-studio', models: [{ id: 'sim-model', contextLength: 8_192 }] });
    const target = targetFor(server, { id: 'desk' });
    const page = {
      key: `desk\n${target.baseUrl}\nsim-model`,
      place: 'local',
      model: 'sim-model',
      samples: 5,
      reading: { start: 0.01, slope: 1e-3, lengths: [100, 500, 900] },
      writing: [],
      loadSeconds: 1,
      bytesPerToken: 4,
      outputTokens: [10],
      ...change,
    };
    writeFileSync(file(), JSON.stringify({ version: 1, meters: [page] }), { mode: 0o600 });
    const here = await gateway([target], { dataDir, logLevel: 'warn' });
    expect((await here.chat(request)).status).toBe(200);
    const warnings = await warningsOf(here);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`meters[0].${field}`);
  });

  test('is not read from a file that is none of ours, however long', async () => {
    const server = await simulator({ kind: 'llama-cpp' });
    for (const make of [
      () => writeFileSync(file(), '{"version":1,'),
      () => writeFileSync(file(), '[]'),
      () => truncateSync(file(), 17 * 1024 ** 2),
    ]) {
      make();
      rmSync(join(dataDir, 'log.jsonl'), { force: true });
      const here = await gateway([targetFor(server)], { dataDir, logLevel: 'warn' });
      expect((await here.chat(request)).status).toBe(200);
      expect(await warningsOf(here)).toHaveLength(1);
    }
  });
});
