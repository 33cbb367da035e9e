import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { faultParts, targetOfRaw } from '../support/fault-parts.ts';
import { completion, httpReply, type RawAnswer } from '../support/raw-server.ts';

const parts = faultParts();

const FORGED = '{"level":"error","msg":"forged"}';
/** What would begin another line, move a cursor, hide a word or turn it round. */
const HOSTILE = [
  `a\n${FORGED}`,
  `a\r\n${FORGED}`,
  `a\u2028${FORGED}`,
  `a\u0085${FORGED}`,
  'a\u001b[2K\u001b[1Aforged',
  'a\u009b31mforged',
  'a\u202eforged',
  'a\u0000forged',
  'a\u007fforged',
  `a","msg":"forged`,
  '=HYPERLINK("http://evil.example")',
  '+1+1',
  '-1+1',
  '@SUM(1)',
];
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
const UNSAFE = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/;

/** More than anything that is kept for each name has room for. */
const NAMES = 3_000;

const ask = (model: string, stream = false) => ({ model, stream, messages: [{ role: 'user', content: 'hi' }] });

describe('S-11 what strangers write', () => {
  test('stays within its own line of the log, whether clients or servers write it', async () => {
    let answer: RawAnswer = () => undefined;
    const raw = await parts.rawServer({ chat: (exchange) => answer(exchange) });
    const { chat, dataDir, gateway, outcomes } = await parts.gateway([targetOfRaw(raw)], {
      logLevel: 'debug',
      maxRetries: 0,
    });
    for (const text of HOSTILE) {
      const named = completion('hi').replace('"sim-model"', JSON.stringify(text));
      answer = ({ socket }) => void socket.write(httpReply(named));
      await (await chat(ask(text))).text();
      await (
        await chat(ask('sim-model'), { headers: { 'x-request-id': `a${text.charAt(1)}` } }).catch(() =>
          chat(ask('sim-model')),
        )
      ).text();
      answer = ({ socket }) =>
        void socket.write(
          httpReply(JSON.stringify({ error: { message: text, code: text, type: text } }), { status: '400 Bad' }),
        );
      await (await chat(ask('sim-model'))).text();
    }
    const answered = outcomes.length;
    await gateway.stop(1_000);
    const lines = readFileSync(join(dataDir, 'log.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line !== '');
    expect(lines.filter((line) => UNSAFE.test(line))).toEqual([]);
    const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(parsed.filter(({ msg }) => msg === 'forged')).toEqual([]);
    expect(answered).toBeGreaterThan(HOSTILE.length * 2);
    expect(lines.length).toBeGreaterThanOrEqual(answered);
  });

  test('as thousands of names of models makes no more series of metrics', async () => {
    const raw = await parts.rawServer({ chat: ({ socket }) => void socket.write(httpReply(completion('hi'))) });
    const { chat, url, gateway } = await parts.gateway([targetOfRaw(raw, { maxConcurrent: 64 })], {
      maxLoopLagMs: 60_000,
    });
    const seriesOf = async () =>
      (await (await fetch(`${url}/metrics`)).text()).split('\n').filter((line) => !line.startsWith('#'));
    await (await chat(ask('sim-model'))).text();
    await (await chat(ask('first-unknown'))).text();
    const before = (await seriesOf()).length;
    let asked = 0;
    const client = async (): Promise<void> => {
      while (asked < NAMES) await (await chat(ask(`unknown-${asked++}-${'x'.repeat(100)}`))).text();
    };
    await Promise.all(Array.from({ length: 32 }, client));
    const series = await seriesOf();
    expect(series.length).toBeLessThanOrEqual(before + 5);
    expect(series.join('\n')).not.toContain('unknown-');
    expect(gateway.targets()[0]?.health).toBe('up');
  }, 120_000);
});
