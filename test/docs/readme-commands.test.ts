import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeBlocks, ROOT, readText, sectionOf, tableRows } from './documents.ts';
import { type StartedGateway, startFromCommandLine } from './started-gateway.ts';

const page = readText('README.md');
const shell = codeBlocks(page).filter((block) => block.language === 'bash');

interface Command {
  /** The status that the comment above it promises. */
  readonly status: number;
  readonly text: string;
}

/** Each curl command with the status in the comment above it, in the page's order. */
function curlCommands(): Command[] {
  return shell.flatMap(({ text }) =>
    [...text.matchAll(/^# (\d{3})\n(curl (?:.*\\\n)*.*)$/gm)].map(([, status, command = '']) => ({
      status: Number(status),
      text: command,
    })),
  );
}

/** Lines that set a variable for the commands after them. */
const assignmentLines = shell.flatMap(({ text }) => text.match(/^[A-Z_]+=.*$/gm) ?? []);

let gateway: StartedGateway;

beforeAll(async () => {
  gateway = await startFromCommandLine();
}, 30_000);

afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
}, 10_000);

/** The page's words for this gateway: its address, its data folder, and no name that only a name service knows. */
function here(text: string): string {
  return text
    .replaceAll('http://localhost:8000', gateway.url)
    .replaceAll('~/.local/share/swarmrouter', `'${gateway.dataDir}'`)
    .replaceAll('https://my-resource.openai.azure.com', 'https://20.0.0.1');
}

const adminKey = (): string => readFileSync(join(gateway.dataDir, 'admin-key'), 'utf8').trim();

describe('the README’s commands', () => {
  const commands = curlCommands();
  const curl = Bun.which('curl');
  if (curl === null) console.log('skipped: the README’s curl commands, because curl is not installed');

  test('every curl command says which status it answers', () => {
    const all = shell.flatMap(({ text }) => text.match(/^curl /gm) ?? []);
    expect(commands.length).toBe(all.length);
    expect(commands.length).toBeGreaterThan(12);
  });

  for (const { status, text } of commands) {
    test.skipIf(curl === null)(`answers ${status}: ${text.replaceAll(/\\\n\s*/g, '')}`, async () => {
      const measured = `curl() { command curl --silent --show-error --noproxy '*' --max-time 15 --output /dev/null --write-out '%{http_code}' "$@"; }`;
      const script = [measured, ...assignmentLines.map(here), here(text)].join('\n');
      const child = Bun.spawn({ cmd: ['sh', '-c', script], stdout: 'pipe', stderr: 'pipe' });
      const [printed, complaint] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ]);
      expect({ printed, complaint }).toEqual({ printed: String(status), complaint: '' });
    });
  }
});

describe('the README’s JavaScript', () => {
  const programs = codeBlocks(page).filter((block) => block.language === 'js');

  test('is there for the openai package and the AI SDK', () => {
    expect(programs.map(({ text }) => /from '(openai|ai)';/.exec(text)?.[1])).toEqual(['openai', 'ai']);
  });

  for (const { text } of programs) {
    test(`runs: ${text.split('\n')[0]}`, async () => {
      // The AI SDK's example keeps its text; printing it shows that there was one.
      const program = here(text) + (text.includes('{ text }') ? '\nprocess.stdout.write(text);' : '');
      const child = Bun.spawn({
        cmd: [process.execPath, '--eval', program],
        cwd: ROOT,
        env: { PATH: process.env['PATH'] ?? '' },
        stdout: 'pipe',
        stderr: 'pipe',
      });
      const [printed, complaint, exitCode] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
        child.exited,
      ]);
      expect({ exitCode, complaint }).toEqual({ exitCode: 0, complaint: '' });
      expect(printed.trim()).not.toBe('');
    }, 15_000);
  }
});

describe('the README', () => {
  test('says how the start looks: where it listens, what it found, where the admin key is', () => {
    expect(gateway.told()).toContain('lmstudio (local, ');
    expect(gateway.told()).toContain(join(gateway.dataDir, 'admin-key'));
  });

  const endpoints = [...page.matchAll(/`(GET|POST|DELETE) (\/[^`]*)`/g)].map(
    ([, method = '', path = '']) => [method, path] as const,
  );

  test('names the endpoints of the product', () => {
    expect(endpoints.length).toBeGreaterThan(10);
  });

  for (const [method, path] of endpoints) {
    test(`${method} ${path} is served`, async () => {
      const response = await fetch(`${gateway.url}${path.replaceAll(/\{\w+\}/g, 'no-such-thing')}`, {
        method,
        headers: { authorization: `Bearer ${adminKey()}`, 'content-type': 'application/json' },
        ...(method === 'POST' ? { body: '{}' } : {}),
      });
      const text = await response.text();
      expect(response.status).not.toBe(405);
      // A 404 about the thing is fine; one about the path is not.
      if (response.status === 404)
        expect(text).toMatch(/"code": ?"(model_not_found|(?:overflow_)?provider_not_found|decision_not_found)"/);
      else expect(response.status).toBeLessThan(500);
    });
  }

  test('lists exactly the x-swarmrouter headers that an answer has', async () => {
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ messages: [{ role: 'user', content: 'Hello' }] }),
    });
    await response.text();
    const sent = [...response.headers.keys()].filter((name) => name.startsWith('x-swarmrouter-'));
    const [, replyTable = ''] = sectionOf(page, '### Headers').split('Every answer says:');
    const listed = tableRows(replyTable).map(([name = '']) => name.replaceAll('`', ''));
    expect(listed.filter((name) => name.startsWith('x-swarmrouter-')).sort()).toEqual(sent.sort());
  });

  test('lists request headers that the gateway reads: a wrong value is refused by name', async () => {
    const [requestTable = ''] = sectionOf(page, '### Headers').split('Every answer says:');
    const names = tableRows(requestTable).map(([cell = '']) => /`([\w-]+)/.exec(cell)?.[1] ?? '');
    const ours = names.filter((name) => name.startsWith('x-swarmrouter-'));
    expect(ours.length).toBeGreaterThan(2);
    for (const name of ours) {
      const response = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', [name]: 'no-such-value' },
        body: JSON.stringify({ messages: [{ role: 'user', content: 'Hello' }] }),
      });
      expect([name, response.status]).toEqual([name, 400]);
      expect(await response.text()).toContain(name);
    }
  });
});
