import { describe, expect, test } from 'bun:test';
import { exportStream } from './export-stream.ts';

async function* records(...names: (string | number | null)[]) {
  for (const name of names) yield { name };
}
const csvOf = async (...names: (string | number | null)[]) =>
  (await new Response(exportStream(records(...names), 'csv', ['name'])).text()).slice('name\r\n'.length);

describe('S-11: a cell of a CSV export', () => {
  for (const sign of ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
    test(`that begins with ${JSON.stringify(sign)} is no formula to a spreadsheet`, async () => {
      const cell = `'${sign}HYPERLINK(A1)`;
      const quoted = sign === '\r' || sign === '\n' ? `"${cell}"` : cell;
      expect(await csvOf(`${sign}HYPERLINK(A1)`)).toBe(`${quoted}\r\n`);
    });
  }

  test('is else what it was: text, numbers below 0 too, and nothing', async () => {
    expect(await csvOf('a=b', -5, null, 'a"b,c', '')).toBe('a=b\r\n-5\r\n\r\n"a""b,c"\r\n\r\n');
    expect(await csvOf('=1+1","')).toBe(`"'=1+1"","""\r\n`);
  });

  test('is left alone in JSON, which no spreadsheet runs', async () => {
    const text = await new Response(exportStream(records('=1+1'), 'json', ['name'])).text();
    expect(text).toBe('{"name":"=1+1"}\n');
  });
});
