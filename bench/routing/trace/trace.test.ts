import { describe, expect, test } from 'bun:test';
import { generatedTraces } from './generate.ts';
import { parseTrace, traceNamed } from './read-trace.ts';
import { hastened, infiniteCacheHitShare, spreadOverTicks } from './trace.ts';

const LINE = '{"timestamp": 3000, "input_length": 600, "output_length": 5, "hash_ids": [0, 7]}';

describe('a trace file', () => {
  test('of JSON lines is read', () => {
    const expected = { arrivalMs: 3_000, inputTokens: 600, outputTokens: 5, blocks: [0, 7] };
    expect(parseTrace('f', `${LINE}\n\n`)).toEqual([expected]);
  });

  test('of CSV is read, with prompts that share nothing', () => {
    const text =
      'TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:03.9799600,600,10\r\n2023-11-16 18:17:04.0319600,5,8\r\n';
    const { requests } = traceNamed('t', '', parseTrace('f', text));
    expect(requests.map(({ blocks }) => blocks)).toEqual([[0, 1], [2]]);
    expect(requests[1]?.arrivalMs).toBeCloseTo(52, 3);
  });

  test.each([
    ['hello', 'f:1: begins with hello; allowed: a line {"timestamp"'],
    [`${LINE}\nx`, 'f:2: x is no JSON'],
    [LINE.replace('600', '-1'), 'f:1: input_length is -1; allowed: a whole number of at least 1.'],
    [LINE.replace('[0, 7]', '[0]'), 'f:1: hash_ids has 1 ids; allowed: 2 whole numbers, one per 512 of 600 tokens.'],
    [LINE.replace('[0, 7]', '[0, "a"]'), 'f:1: hash_ids contains "a"'],
    [LINE.replace('"output_length": 5, ', ''), 'f:1: output_length is missing'],
    ['TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,2', 'f:2: TIMESTAMP is yesterday; allowed: YYYY-MM-DD'],
    ['TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,1', 'f:2: 2023-11-16 18:17:03,1 has 2 cells'],
  ])('%s is refused with file, line, value and what is allowed', (text, message) => {
    expect(() => parseTrace('f', text)).toThrow(message);
  });
});

describe('a trace', () => {
  const tick = traceNamed('t', '', parseTrace('f', [LINE, LINE, LINE.replace('3000', '6000')].join('\n')));

  test('begins at 0, and can be made faster or spread over the ticks of its clock', () => {
    expect(tick.requests.map((one) => one.arrivalMs)).toEqual([0, 0, 3_000]);
    expect(hastened(tick, 1.5).requests[2]?.arrivalMs).toBe(2_000);
    expect(spreadOverTicks(tick).requests.map((one) => one.arrivalMs)).toEqual([0, 1_500, 3_000]);
  });

  test('knows what an infinite cache would hit', () => {
    expect(infiniteCacheHitShare(tick)).toBeCloseTo(4 / 6);
  });
});

describe('the generator', () => {
  const [conversation, code] = generatedTraces(1);
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

  test('makes the same trace from the same seed', () => {
    expect(generatedTraces(1)[0]).toEqual(conversation);
    expect(generatedTraces(2)[0]).not.toEqual(conversation);
  });

  test('comes near the published statistics', () => {
    const inputs = conversation?.requests.map((one) => one.inputTokens) ?? [];
    expect(inputs.length).toBe(12_031);
    expect(mean(inputs) / 12_035).toBeCloseTo(1, 0.8);
    expect(infiniteCacheHitShare(conversation ?? { name: '', says: '', generated: true, requests: [] })).toBeCloseTo(
      0.366,
      1,
    );
    expect(mean(code?.requests.map((one) => one.inputTokens) ?? []) / 2_048).toBeCloseTo(1, 0.8);
    expect(mean(code?.requests.map((one) => one.outputTokens) ?? []) / 28).toBeCloseTo(1, 0.8);
  });
});
