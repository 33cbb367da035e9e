import { describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestGateway, targetFor } from '../../test/support/gateway.ts';
import { inference, runningParts } from '../../test/support/running.ts';
import { listText } from './decisions.ts';
import { runProgram } from './program.ts';
import type { Screen } from './screen.ts';
import { recordedTerminal } from './terminal-fixture.ts';

const { simulator, gateway } = runningParts();
const MODEL = 'qwen2.5-7b';

async function fleet(change: Parameters<typeof gateway>[1] = {}) {
  const studio = await simulator({ kind: 'lm-studio', models: [{ id: MODEL }] });
  const ollama = await simulator({ kind: 'ollama', models: [{ id: 'embedder', kind: 'embedding' }] });
  return { studio, ollama, ...(await gateway([targetFor(studio), targetFor(ollama)], change)) };
}

interface Given {
  readonly input?: string;
  readonly screen?: Screen;
  readonly directory?: string;
}

/** Runs `swarmrouter <words>` against this gateway. */
async function run(
  { url, adminKey }: Pick<TestGateway, 'url' | 'adminKey'>,
  words: readonly string[],
  given: Given = {},
) {
  const terminal = recordedTerminal({ environment: { SWARMROUTER_ADMIN_KEY: adminKey }, ...given });
  const code = await runProgram([...words, '--url', url], terminal);
  return { code, ...terminal.written() };
}

describe('swarmrouter explain', () => {
  test('prints the plan as a table, and who was left out, without sending anything', async () => {
    const started = await fleet();
    const ran = await run(started, ['explain', '-m', MODEL, '-p', 'a prompt of several words']);
    expect(ran).toMatchObject({ code: 0, error: '' });
    expect(ran.out).toContain(`${MODEL}, strategy local-first`);
    for (const word of [
      'TARGET',
      'PLACE',
      'SECONDS',
      'LOAD',
      'WAIT',
      'PREFILL',
      'DECODE',
      'NETWORK',
      'CACHED',
      'PRICE',
    ]) {
      expect(ran.out).toContain(word);
    }
    expect(ran.out).toMatch(new RegExp(`^lmstudio +local +${MODEL} .*is loaded$`, 'm'));
    expect(ran.out).toMatch(/Left out:\n {2}ollama: does not have/);
    expect([...inference(started.studio), ...inference(started.ollama)]).toEqual([]);
  });

  test('reads a request from a file or from standard input, and -m changes its model alone', async () => {
    const started = await fleet();
    const directory = mkdtempSync(join(tmpdir(), 'swarmrouter-explain-'));
    const body = JSON.stringify({ model: 'from-the-file', messages: [{ role: 'user', content: 'hi' }] });
    writeFileSync(join(directory, 'body.json'), body);
    const asked = async (words: readonly string[], given: Given = {}) =>
      JSON.parse((await run(started, ['explain', '--json', ...words], { directory, ...given })).out).model;
    expect(await asked(['-f', 'body.json'])).toBe('from-the-file');
    expect(await asked(['-f', 'body.json', '-m', 'another'])).toBe('another');
    expect(await asked(['-f', '-'], { input: body })).toBe('from-the-file');
    expect(await asked([])).toBe(null);
    rmSync(directory, { recursive: true, force: true });
  });

  test('sends the headers of the request, and tells when nobody could serve it', async () => {
    const started = await fleet();
    const fenced = await run(started, ['explain', '--header', 'x-swarmrouter-place: cloud']);
    expect(fenced).toMatchObject({ code: 0, error: '' });
    expect(fenced.out).toContain('Nobody could serve it: 503 no_target_available');
    expect(fenced.out).toMatch(/Left out:\n {2}lmstudio: .+\n {2}ollama: /);
    const both = ['--header', 'x-swarmrouter-place: local', '--header', 'x-swarmrouter-strict-model: true'];
    expect((await run(started, ['explain', '-m', 'nothing', ...both])).out).toContain('404 model_not_found');
  });

  test('what is wrong is told with the fix: flags with code 2, a body in the words of the gateway', async () => {
    const started = await fleet();
    for (const [words, said] of [
      [['-f', 'body.json', '-p', 'hi'], 'give -f or -p, not both'],
      [['-f', 'no-such.json'], '-f no-such.json cannot be read (ENOENT)'],
      [['--header', 'authorization: x'], "write 'x-name: value'"],
      [['--modle', 'x'], 'did you mean --model'],
      [['stray'], 'too many arguments'],
    ] as const) {
      const ran = await run(started, ['explain', ...words]);
      expect({ code: ran.code, out: ran.out }).toEqual({ code: 2, out: '' });
      expect(ran.error.toLowerCase()).toContain(said.toLowerCase());
    }
    const broken = await run(started, ['explain', '-m', 'x', '-f', '-'], { input: '[1]' });
    expect(broken.code).toBe(1);
    expect(broken.error).toContain('The request body must be a JSON object, not a list.');
  });
});

describe('swarmrouter decisions', () => {
  test('prints the latest ones as a table, and all of one by its id', async () => {
    const started = await fleet();
    expect((await run(started, ['decisions'])).out).toContain('No decision is kept.');
    for (const id of ['first-one', 'second-one']) {
      await (
        await started.chat(
          { model: MODEL, messages: [{ role: 'user', content: 'private words' }] },
          { headers: { 'x-request-id': id } },
        )
      ).text();
    }
    const list = await run(started, ['decisions']);
    expect(list).toMatchObject({ code: 0, error: '' });
    expect(list.out).toMatch(new RegExp(`second-one +served +${MODEL} +lmstudio[\\s\\S]*first-one +served`));
    const limited = await run(started, ['decisions', '--limit', '1', '--json']);
    expect(JSON.parse(limited.out).decisions.map(({ id }: { id: string }) => id)).toEqual(['second-one']);

    const one = await run(started, ['decisions', 'first-one']);
    expect(one).toMatchObject({ code: 0, error: '' });
    expect(one.out).toContain('Request first-one of ');
    expect(one.out).toMatch(/answered +lmstudio \(local\), qwen2\.5-7b: served/);
    expect(one.out).toMatch(/Plan\nTARGET[\s\S]*Attempts\nTARGET[\s\S]*answered[\s\S]*Left out:\n {2}ollama/);
    expect(list.out + one.out).not.toContain('private words');
  });

  test('an id that is not kept and a wrong limit are told in the words of the gateway', async () => {
    const started = await fleet();
    const missing = await run(started, ['decisions', 'no-such']);
    expect(missing.code).toBe(1);
    expect(missing.error).toContain('No decision is kept for "no-such"');
    const limited = await run(started, ['decisions', '--limit', '0']);
    expect(limited.error).toContain('a whole number from 1 to 1000');
    expect(limited.code).toBe(2);
    const off = await fleet({ decisions: 0 });
    expect((await run(off, ['decisions'])).out).toContain('SWARMROUTER_DECISIONS is 0');
  });
});

describe('swarmrouter decisions --target', () => {
  test('tells of a name that no target has which one was meant', async () => {
    const started = await fleet();
    await (await started.chat({ model: MODEL, messages: [{ role: 'user', content: 'hi' }] })).text();
    expect((await run(started, ['decisions', '--target', 'lmstudio'])).out).toContain('served');
    const mistyped = await run(started, ['decisions', '--target', 'lmstudoi']);
    expect(mistyped).toMatchObject({ code: 0, error: '' });
    expect(mistyped.out).toBe('No decision is kept of "lmstudoi", which is no target now: did you mean "lmstudio"?\n');
    const unknown = await run(started, ['decisions', '--target', 'zzzzzzzzzzzzzzzzzzzz']);
    expect(unknown.out).toContain('which is no target now; there are lmstudio, ollama.');
    // A target that nothing was sent to.
    expect((await run(started, ['decisions', '--target', 'ollama'])).out).toBe('No decision is kept of "ollama".\n');
  });
});

describe('swarmrouter decisions of a prompt that was cut', () => {
  test('marks it in the list too', () => {
    const decision = { id: 'a', outcome: 'served', status: 200, prompt_tokens: 4096, attempts_total: 1, calls: 1 };
    const list = (cut: boolean) =>
      listText({ capacity: 9, decisions: [{ ...decision, prompt_cut: cut }] }, null, false);
    expect(list(true)).toContain(' 4096 cut ');
    expect(list(false)).toContain(' 4096 ');
    expect(list(false)).not.toContain('cut');
  });
});

/** A screen of a test: keeps each frame, and the person leaves after so many of them. */
function testScreen(frames: number, between: () => Promise<void> = async () => undefined) {
  const drawn: string[] = [];
  let closed = 0;
  const screen: Screen = {
    columns: 60,
    rows: 8,
    draw: (frame) => void drawn.push(frame),
    pause: async () => {
      await between();
      return drawn.length < frames;
    },
    left: new Promise(() => undefined),
    close: () => {
      closed++;
    },
  };
  return { screen, drawn, closed: () => closed };
}

describe('swarmrouter top', () => {
  test('--once prints the nodes, their slots and the latest decisions', async () => {
    const started = await fleet();
    await (await started.chat({ model: MODEL, messages: [{ role: 'user', content: 'private words' }] })).text();
    const ran = await run(started, ['top', '--once']);
    expect(ran).toMatchObject({ code: 0, error: '' });
    expect(ran.out).toMatch(/strategy local-first, - requests\/s/);
    expect(ran.out).toMatch(new RegExp(`^lmstudio +up +local +░{8} 0/4 +- +0 +\\d+ ms +\\d+ ms +${MODEL}$`, 'm'));
    expect(ran.out).toMatch(new RegExp(`^\\d\\d:\\d\\d:\\d\\d +served +${MODEL} +lmstudio +\\d+ ms`, 'm'));
    expect(ran.out).not.toContain('private words');
    expect(ran.out).not.toContain('\u001b');
    const asJson = JSON.parse((await run(started, ['top', '--json'])).out);
    expect([asJson.status.targets.length, asJson.decisions.length]).toEqual([2, 1]);
  });

  test('without a terminal it prints one frame and ends', async () => {
    const ran = await run(await fleet(), ['top']);
    expect(ran).toMatchObject({ code: 0, error: '' });
    expect(ran.out).toContain('NODE');
  });

  test('on a terminal it draws until the person leaves, counts what came in between, fits the screen and gives it back', async () => {
    const started = await fleet();
    const { screen, drawn, closed } = testScreen(2, async () => {
      await (await started.chat('hi')).text();
    });
    const ran = await run(started, ['top', '--interval', '100ms'], { screen });
    expect([ran.code, ran.out, drawn.length, closed()]).toEqual([0, '', 2, 1]);
    for (const line of drawn.flatMap((frame) => frame.split('\n'))) expect(line.length).toBeLessThanOrEqual(60);
    for (const frame of drawn) expect(frame.split('\n').length).toBeLessThanOrEqual(8);
    expect(drawn[1]).toMatch(/lmstudio +up +local +░{8} 0\/4 +\d/);
  });

  test('a gateway that goes away is told of on the screen, with what was seen last', async () => {
    const started = await fleet();
    const { screen, drawn, closed } = testScreen(2, () => started.gateway.stop(0).then(() => undefined));
    const ran = await run(started, ['top'], { screen });
    expect([ran.code, closed()]).toEqual([0, 1]);
    expect(drawn[1]).toMatch(/No gateway answers at[\s\S]*lmstudio +up/);
  });

  test('a gateway that is not there and a wrong interval are told, and no screen is taken', async () => {
    const started = await fleet();
    const { screen, drawn, closed } = testScreen(1);
    const gone = await run({ ...started, url: 'http://127.0.0.1:1' }, ['top'], { screen });
    expect(gone.code).toBe(1);
    expect(gone.error).toContain('No gateway answers at http://127.0.0.1:1. Start it with');
    for (const interval of ['soon', '0', '5000s', '1m']) {
      const wrong = await run(started, ['top', '--interval', interval], { screen });
      expect(wrong.code).toBe(2);
      expect(wrong.error).toContain(`--interval "${interval}" is not a time from 0.1 s to 1 h`);
    }
    expect([drawn.length, closed()]).toEqual([0, 0]);
  });
});
