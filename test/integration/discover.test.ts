import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../src/cli/program.ts';
import { recordedTerminal } from '../../src/cli/terminal-fixture.ts';
import { loadConfig } from '../../src/config/load.ts';
import { USUAL_PORTS } from '../../src/discovery/index.ts';
import { targetFor } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const KINDS = ['lm-studio', 'ollama', 'llama-cpp', 'vllm', 'sglang'] as const;

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'swarmrouter-discover-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Runs `swarmrouter discover <words>` in a folder of its own. */
async function discover(words: string, environment: Record<string, string> = {}) {
  const terminal = recordedTerminal({ environment, directory });
  const code = await runProgram(['discover', ...words.split(' ').filter(Boolean)], terminal);
  return { code, ...terminal.written(), progressed: terminal.progressed };
}

/** One simulator of each local kind; the ports as a flag takes them. */
async function fiveServers() {
  const servers = await Promise.all(
    KINDS.map((kind) => simulator({ kind, models: [{ id: `${kind}-model` }], slots: 3 })),
  );
  return { servers, ports: servers.map(({ port }) => port).join(',') };
}

const yaml = (): string => readFileSync(join(directory, 'swarmrouter.yaml'), 'utf8');

function targetsOfFile() {
  const result = loadConfig({ flags: {}, environment: {}, directory });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config.targets.filter(({ source }) => source === 'yaml');
}

describe('swarmrouter discover', () => {
  test('finds each kind on this machine, with its models, and asks none of them for more than lists', async () => {
    const { servers, ports } = await fiveServers();
    const { code, out, error, progressed } = await discover(`--ports ${ports} --json`);
    expect({ code, error }).toEqual({ code: 0, error: '' });
    const report = JSON.parse(out);
    expect(report.looked_at).toEqual({ where: ['127.0.0.1'], ports: servers.map(({ port }) => port), places: 5 });
    expect(
      report.servers.map((server: { kind: string; loaded: number; models: { id: string; state: string }[] }) => [
        server.kind,
        server.models.map(({ id, state }) => `${id} ${state}`),
        server.loaded,
      ]),
    ).toEqual(KINDS.map((kind) => [kind, [`${kind}-model loaded`], 1]));
    expect(report.servers.map((server: { slots: number | null }) => server.slots)).toEqual([3, null, 3, null, null]);
    for (const { log } of servers) expect(new Set(log.map(({ method }) => method))).toEqual(new Set(['GET']));
    expect(progressed.at(-1)).toBeNull();
    expect(existsSync(join(directory, 'swarmrouter.yaml'))).toBe(false);
  });

  test('prints a table, and lines for swarmrouter.yaml that load', async () => {
    const { servers, ports } = await fiveServers();
    const { code, out } = await discover(`--ports ${ports}`);
    expect(code).toBe(0);
    for (const { kind, url } of servers) expect(out).toMatch(new RegExp(`${url} +${kind} .*${kind}-model +1 of 1`));
    writeFileSync(join(directory, 'swarmrouter.yaml'), out.slice(out.indexOf('\ntargets:\n') + 1));
    expect(targetsOfFile().map(({ adapterKind, baseUrl }) => [adapterKind, baseUrl])).toEqual(
      servers.map(({ kind, url }) => [kind, url]),
    );
  });

  test('--write makes the file, and the second time changes nothing', async () => {
    const { servers, ports } = await fiveServers();
    const first = await discover(`--ports ${ports} --write`);
    expect(first).toMatchObject({ code: 0, error: '' });
    expect(first.out).toContain(`Added 5 targets to ${join(directory, 'swarmrouter.yaml')}`);
    const written = yaml();
    expect(targetsOfFile().map(({ id, baseUrl }) => [id, baseUrl])).toEqual(
      servers.map(({ kind, url }) => [`${kind.replace('-', '')}-127-0-0-1`, url]),
    );
    const second = await discover(`--ports ${ports} --write`);
    expect(second).toMatchObject({ code: 0, error: '' });
    expect(second.out).toContain('nothing to add');
    expect(yaml()).toBe(written);
  });

  test('--write adds what is new behind what is there, and every comment stays', async () => {
    const [known, other] = await Promise.all([simulator({ kind: 'vllm' }), simulator({ kind: 'ollama' })]);
    const before = `# ours\nport: 9000 # why not\ntargets:\n  - name: box # the big one\n    kind: vllm\n    url: http://localhost:${known.port}\n\n# the end\naliases:\n  a: b\n`;
    writeFileSync(join(directory, 'swarmrouter.yaml'), before);
    const { code, out } = await discover(`--ports ${known.port},${other.port} --write`);
    expect(code).toBe(0);
    expect(out).toContain('box (configured)');
    expect(targetsOfFile().map(({ id }) => id)).toEqual(['box', 'ollama-127-0-0-1']);
    const lines = yaml().split('\n');
    expect(before.split('\n').filter((line) => !lines.includes(line))).toEqual([]);
  });

  test('--write goes to the file that SWARMROUTER_CONFIG or --config names', async () => {
    const { port, url } = await simulator({ kind: 'ollama' });
    const config = join(directory, 'other.yaml');
    expect((await discover(`--ports ${port} --write`, { SWARMROUTER_CONFIG: config })).code).toBe(0);
    expect(readFileSync(config, 'utf8')).toContain(url);
    expect((await discover(`--ports ${port} --write --config mine.yml`)).code).toBe(0);
    expect(readFileSync(join(directory, 'mine.yml'), 'utf8')).toContain(url);
    expect(existsSync(join(directory, 'swarmrouter.yaml'))).toBe(false);
  });

  test('--write leaves a file with mistakes as it is, and says which', async () => {
    const { port } = await simulator({ kind: 'ollama' });
    writeFileSync(join(directory, 'swarmrouter.yaml'), 'prot: 9000\n');
    const { code, error } = await discover(`--ports ${port} --write`);
    expect(code).toBe(2);
    expect(error).toContain('did you mean port?');
    expect(yaml()).toBe('prot: 9000\n');
  });

  test('--write says so when the file cannot be written: code 1', async () => {
    const { port } = await simulator({ kind: 'ollama' });
    const { code, out, error } = await discover(`--ports ${port} --write --config no-such-folder/mine.yaml`);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(error).toContain('no-such-folder/mine.yaml cannot be written');
  });

  test('a server of the environment is configured, under whatever name of its machine', async () => {
    const { port } = await simulator({ kind: 'ollama' });
    const { out } = await discover(`--ports ${port} --json`, { OLLAMA_URL: `http://localhost:${port}` });
    expect(JSON.parse(out)).toMatchObject({ yaml: null, servers: [{ configured_as: 'ollama', target: null }] });
  });

  test('a server that wants a key is found and not listed; its key is left to be filled in', async () => {
    const { port } = await simulator({ kind: 'lm-studio', apiKey: 'sk-canary-0123456789' });
    const { out } = await discover(`--ports ${port}`);
    expect(out).toContain('wants a key');
    expect(out).toContain('# api_key: env:');
  });

  test('another SwarmRouter is never listed, though it answers like a model server', async () => {
    const { url } = await gateway([targetFor(await simulator({ kind: 'vllm' }))]);
    const { code, out } = await discover(`--ports ${new URL(url).port}`);
    expect(code).toBe(0);
    expect(out).toContain('no model server');
  });

  test('one that names its models with the control characters of a terminal cannot write with them', async () => {
    const { port } = await simulator({ kind: 'vllm', models: [{ id: 'a\u001b[2Jb' }] });
    const { out } = await discover(`--ports ${port}`);
    expect(out).toContain('vllm-127-0-0-1');
    expect(out).not.toContain('\u001b');
  });

  test('networks and names are looked at too', async () => {
    const { port } = await simulator({ kind: 'ollama' });
    const { out } = await discover(`--subnet 127.0.0.0/30 --host localhost --ports ${port} --json`);
    const { looked_at, servers } = JSON.parse(out);
    expect(looked_at).toEqual({ where: ['localhost', '127.0.0.0/30'], ports: [port], places: 3 });
    expect(servers.map(({ url }: { url: string }) => url)).toContain(`http://127.0.0.1:${port}`);
  });

  test('nothing found is no failure: it says where it looked and what to try', async () => {
    const stopped = await simulator({ kind: 'ollama' });
    const { port } = stopped;
    await stopped.stop();
    const { code, out, error } = await discover(`--ports ${port} --write`);
    expect({ code, error }).toEqual({ code: 0, error: '' });
    expect(out).toContain(`Looked at 127.0.0.1, port ${port}: found no model server`);
    expect(out).toContain('--subnet');
    expect(existsSync(join(directory, 'swarmrouter.yaml'))).toBe(false);
  });

  test('its help names the ports that it looks at', async () => {
    expect((await discover('--help')).out.replaceAll(/\s+/g, ' ')).toContain(USUAL_PORTS.join(' '));
  });

  test('what it cannot look at is told before anything is: code 2', async () => {
    const wrong = await discover('--subnet 10.0.0.0/8 --ports 99999 --host a:1');
    expect(wrong.code).toBe(2);
    expect(wrong.error).toContain('there are 3 problems with the command line');
    for (const words of ['--subnet = "10.0.0.0/8"', '16,777,216', 'Allowed: ', 'Fix: ', '--ports = "99999"'])
      expect(wrong.error).toContain(words);
    const nowhere = await discover('--host no-such-machine.invalid');
    expect(nowhere.code).toBe(2);
    expect(nowhere.error).toContain('no name service knows it');
    expect((await discover('--subnets 10.0.0.0/24')).error).toContain('Did you mean --subnet?');
  });
});
