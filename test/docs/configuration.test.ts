import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Config, LoadInput } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { needsClientKey } from '../../src/config/open-host.ts';
import { describeProblem } from '../../src/config/problem.ts';
import { codeBlocks, deployFiles, readText, sectionOf } from './documents.ts';

const ADMIN_KEY = 'a-long-random-text-0123456789';

/** The configuration that these settings give, or an error that lists every problem. */
function load(change: Partial<LoadInput>): Config {
  const result = loadConfig({
    flags: {},
    environment: {},
    directory: '/etc/swarmrouter',
    homeDirectory: '/home/somebody',
    platform: 'linux',
    readFile: () => null,
    ...change,
  });
  if (!result.ok) throw new Error(result.problems.map(describeProblem).join('\n'));
  return result.config;
}

/** `NAME=value` lines. */
function assignments(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(/^([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]),
  );
}

describe('the README', () => {
  const page = readText('README.md');
  const yaml = codeBlocks(page).find((block) => block.language === 'yaml')?.text ?? '';

  test('its swarmrouter.yaml loads and says what the text promises', () => {
    const config = load({
      environment: { GPU_BOX_KEY: 'key-of-the-gpu-box' },
      readFile: (path) => {
        if (path.endsWith('swarmrouter.yaml')) return yaml;
        return path === '/run/secrets/other-cloud' ? 'key-of-the-cloud\n' : null;
      },
    });
    const named = config.targets.filter((target) => target.source === 'yaml');
    expect(named.map(({ id, adapterKind, place }) => [id, adapterKind, place])).toEqual([
      ['studio', 'lm-studio', 'local'],
      ['gpu-box', 'vllm', 'local'],
      ['den', 'auto', 'local'],
      ['other-cloud', 'openai-compatible', 'cloud'],
    ]);
    expect(named.map((target) => target.apiKey?.reveal() ?? null)).toEqual([
      null,
      'key-of-the-gpu-box',
      null,
      'key-of-the-cloud',
    ]);
    expect(named[0]?.maxConcurrent).toBe(8);
    expect(config.standIn).toBe('unknown');
    expect(config.routes.get('sturdy')).toMatchObject({ strategy: 'local-first', streamRecovery: true });
    expect(config.streamRecovery).toBe(false);
    expect(config.modelAliases.get('cheap')).toBe('openrouter/openai/gpt-4o-mini');
  });

  test('the order of its settings is the one in force', () => {
    const yamlPort = (path: string) => (path.endsWith('.yaml') ? 'port: 8004' : null);
    const both = (path: string) => (path.endsWith('.env') ? 'SWARMROUTER_PORT=8003' : yamlPort(path));
    expect(page).toContain('command line, environment, `.env`, YAML, default');
    const environment = { SWARMROUTER_PORT: '8002' };
    expect(load({ flags: { port: '8001' }, environment, readFile: both }).port).toBe(8001);
    expect(load({ environment, readFile: both }).port).toBe(8002);
    expect(load({ readFile: both }).port).toBe(8003);
    expect(load({ readFile: yamlPort }).port).toBe(8004);
    expect(load({}).port).toBe(8000);
  });
});

describe('deploy/', () => {
  test('swarmrouter.env.example loads unedited and listens on loopback', () => {
    const config = load({ environment: assignments(readText('deploy/swarmrouter.env.example')) });
    expect(config.host).toBe('127.0.0.1');
    expect(config.targets.map((target) => target.id)).toContain('lmstudio');
  });

  test('swarmrouter.service sets what loads, and its stop time covers the drain time', () => {
    const unit = readText('deploy/swarmrouter.service');
    const lines = [...unit.matchAll(/^Environment=(.*)$/gm)].map(([, line = '']) => line).join('\n');
    const config = load({ environment: assignments(lines) });
    expect(config.dataDir).toBe('/var/lib/swarmrouter');
    expect(unit).toContain('StateDirectory=swarmrouter\n');
    const stopSeconds = Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]);
    expect(stopSeconds * 1000).toBeGreaterThan(config.drainTimeoutMs);
  });

  test('the Dockerfile sets what loads, and does not start without a key', () => {
    const file = readText('deploy/Dockerfile');
    const environment = Object.fromEntries(
      [...file.matchAll(/\b((?:SWARMROUTER|NODE)_[A-Z_]+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value]),
    );
    const config = load({ environment: { ...environment, SWARMROUTER_ADMIN_KEY: ADMIN_KEY } });
    expect([config.host, config.port, config.dataDir]).toEqual(['0.0.0.0', 8000, '/data']);
    expect(needsClientKey(config)).toBe(false);
    expect(needsClientKey(load({ environment }))).toBe(true);
    expect(file).toContain('\nUSER node\n');
  });

  test('compose.yaml passes on settings that load, set or unset, and publishes the port on this machine only', () => {
    const { services } = parse(readText('deploy/compose.yaml')) as ComposeFile;
    const { environment, ports } = services.swarmrouter;
    const unset = mapValues(environment, (value) => value.replace(/\$\{\w+(?::-(.*)|:\?.*)\}$/, '$1'));
    expect(Object.values(unset).join('')).not.toContain('$');
    const config = load({ environment: { ...unset, SWARMROUTER_ADMIN_KEY: ADMIN_KEY } });
    expect(config.targets.find((target) => target.id === 'lmstudio')?.baseUrl).toBe('http://host.docker.internal:1234');
    expect(config.targets.filter((target) => target.place === 'cloud')).toEqual([]);
    expect(ports).toEqual([`127.0.0.1:${config.port}:${config.port}`]);
  });

  test('the proxies wait longer than a reply may take to begin, and collect nothing', () => {
    const { requestTimeoutMs, maxBodyBytes } = load({});
    const nginx = readText('deploy/nginx.conf');
    const caddy = readText('deploy/Caddyfile');
    const seconds = (text: string, pattern: RegExp): number => Number(pattern.exec(text)?.[1]);
    expect(seconds(nginx, /proxy_read_timeout (\d+)s;/) * 1000).toBeGreaterThan(requestTimeoutMs);
    expect(seconds(caddy, /response_header_timeout (\d+)s/) * 1000).toBeGreaterThan(requestTimeoutMs);
    expect(nginx).toMatch(/^ *proxy_buffering off;$/m);
    expect(caddy).toMatch(/^\t*flush_interval -1$/m);
    expect(nginx).toContain(`client_max_body_size ${maxBodyBytes / 1_048_576}m;`);
    expect(caddy).toContain(`max_size ${maxBodyBytes / 1_048_576}MiB`);
  });

  test('nginx.conf closes every block and ends every directive', () => {
    const code = readText('deploy/nginx.conf').replaceAll(/#.*$/gm, '');
    expect(code.split('{').length).toBe(code.split('}').length);
    const open = code.split('\n').filter((line) => line.trim() !== '' && !/[;{}]\s*$/.test(line));
    expect(open).toEqual([]);
  });

  test('the guide names every file of the folder, but the one that only the build reads', () => {
    const guide = readText('docs/operations/deployment.md');
    const files = deployFiles().filter((file) => !file.endsWith('.dockerignore'));
    expect(files.filter((file) => !guide.includes(file))).toEqual([]);
  });
});

describe('docs/operations/monitoring.md', () => {
  test('its Prometheus examples are YAML with what Prometheus looks for', () => {
    const page = readText('docs/operations/monitoring.md');
    const [scrape, alerts] = codeBlocks(page).map((block) => parse(block.text) as Record<string, unknown>);
    expect(Object.keys(scrape ?? {})).toEqual(['scrape_configs']);
    const groups = alerts?.['groups'] as { rules: { alert: string; expr: string }[] }[];
    const rules = groups.flatMap((group) => group.rules);
    expect(rules.length).toBeGreaterThan(5);
    for (const rule of rules) expect([rule.alert, typeof rule.expr]).toEqual([rule.alert, 'string']);
    expect(sectionOf(page, '## Prometheus')).toContain('targets: ["127.0.0.1:8000"]');
  });
});

interface ComposeFile {
  readonly services: {
    readonly swarmrouter: { readonly environment: Record<string, string>; readonly ports: readonly string[] };
  };
}

function mapValues(record: Record<string, string>, change: (value: string) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));
}

test('the project brings no configuration of its own: a clone starts with the defaults', () => {
  const root = join(import.meta.dir, '..', '..');
  // Outside a checkout there is nothing to ask.
  if (!existsSync(join(root, '.git'))) return;
  const { stdout } = Bun.spawnSync(['git', 'ls-files', 'swarmrouter.yaml', '.env'], { cwd: root });
  expect(stdout.toString()).toBe('');
});
