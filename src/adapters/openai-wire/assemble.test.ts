import { describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { llamaCpp } from '../llama-cpp/index.ts';
import { ollama } from '../ollama/index.ts';
import { Assembler, type WholeManner } from './assemble.ts';
import { streamsFaithfully } from './request.ts';
import { SseParser } from './sse-parser.ts';

const FIXTURES = join(import.meta.dir, '../../../test/contract/fixtures');

/** By folder, as the vendors' adapters have it. */
const MANNERS: Readonly<Record<string, WholeManner>> = {
  'llama-cpp': llamaCpp.whole,
  ollama: ollama.whole,
};

/**
 * Pairs of NAME.stream.txt as it comes over the wire and NAME.whole.json as the same server answers whole; recorded
 * where the folder has a RECORDED.md, else written after the vendor's documents and sources.
 */
const PAIRS = readdirSync(FIXTURES, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.stream.txt'))
  .map((file) => file.slice(0, -'.stream.txt'.length));

/** Fields that differ between any two replies of one server: times, ids and measured speeds. */
function comparable(reply: Record<string, unknown>): unknown {
  const copy = structuredClone(reply) as {
    id?: unknown;
    created?: unknown;
    timings?: object;
    stats?: object;
    choices: { message: { tool_calls?: { id?: unknown }[] } }[];
  };
  delete copy.id;
  delete copy.created;
  for (const field of ['timings', 'stats'] as const) {
    const measured = copy[field];
    if (measured !== undefined) copy[field] = Object.keys(measured).sort();
  }
  for (const { message } of copy.choices) for (const call of message.tool_calls ?? []) delete call.id;
  return copy;
}

/** What the request asked for, when it was kept: it tells whether a stream was to carry the reply at all. */
function requestOf(pair: string): Record<string, unknown> {
  const file = join(FIXTURES, `${pair}.request.json`);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
}

function assemble(stream: Uint8Array, manner?: WholeManner): Record<string, unknown> {
  const assembler = new Assembler(manner);
  const parser = new SseParser({
    event: (_type, data) => data.startsWith('[DONE]') || assembler.add(JSON.parse(data)),
  });
  parser.push(stream);
  return JSON.parse(JSON.stringify(assembler.result()));
}

test('there are recorded pairs to compare', () => {
  expect(PAIRS.length).toBeGreaterThan(0);
});

const FAITHFUL = PAIRS.filter((pair) => streamsFaithfully(requestOf(pair)));
const UNFAITHFUL = PAIRS.filter((pair) => !streamsFaithfully(requestOf(pair)));

test.each(FAITHFUL)('%s: assembled from its stream it equals the whole reply', (pair) => {
  const whole = JSON.parse(readFileSync(join(FIXTURES, `${pair}.whole.json`), 'utf8'));
  const manner = MANNERS[pair.split('/')[0] ?? ''];
  const assembled = assemble(readFileSync(join(FIXTURES, `${pair}.stream.txt`)), manner);
  expect(comparable(assembled)).toEqual(comparable(whole));
});

test('the recorded replies that are asked for whole are those with several choices or logprobs', () => {
  for (const pair of UNFAITHFUL) expect(pair).toMatch(/choices|logprobs/);
});

describe('putting chunks together', () => {
  const chunk = (delta: object, more: object = {}) => ({
    id: 'c',
    object: 'chat.completion.chunk',
    model: 'm',
    choices: [{ index: 0, delta, finish_reason: null, ...more }],
  });
  const messageOf = (chunks: readonly object[]) => {
    const assembler = new Assembler();
    for (const one of chunks) assembler.add(one as Record<string, unknown>);
    const [choice] = assembler.result()['choices'] as { message: unknown; finish_reason: unknown }[];
    return choice;
  };

  test('joins text, reasoning and refusal apart from each other', () => {
    const choice = messageOf([
      chunk({ role: 'assistant', content: '' }),
      chunk({ reasoning_content: 'let me ' }),
      chunk({ reasoning_content: 'think' }),
      chunk({ content: 'a' }),
      chunk({ content: 'b', refusal: 'no' }),
      chunk({}, { finish_reason: 'stop' }),
    ]);
    expect(choice?.message).toEqual({
      role: 'assistant',
      content: 'ab',
      reasoning_content: 'let me think',
      refusal: 'no',
    });
    expect(choice?.finish_reason).toBe('stop');
  });

  test('joins interleaved tool calls by their index and gives null content', () => {
    const call = (index: number, part: object) => chunk({ tool_calls: [{ index, ...part }] });
    const choice = messageOf([
      chunk({ role: 'assistant', content: null }),
      call(0, { id: 'x', type: 'function', function: { name: 'f', arguments: '' } }),
      call(1, { id: 'y', type: 'function', function: { name: 'g', arguments: '{"b"' } }),
      call(0, { function: { arguments: '{"a":1}' } }),
      call(1, { id: '', function: { name: '', arguments: ':2}' } }),
      chunk({}, { finish_reason: 'tool_calls' }),
    ]);
    expect(choice?.message).toEqual({
      role: 'assistant',
      content: null,
      tool_calls: [
        { id: 'x', type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
        { id: 'y', type: 'function', function: { name: 'g', arguments: '{"b":2}' } },
      ],
    });
  });

  test('tells calls apart that a server numbers alike', () => {
    const whole = (id: string, name: string) =>
      chunk({ tool_calls: [{ index: 0, id, type: 'function', function: { name, arguments: '{}' } }] });
    const choice = messageOf([whole('x', 'f'), whole('y', 'g'), chunk({}, { finish_reason: 'tool_calls' })]);
    expect(choice?.message).toMatchObject({
      tool_calls: [
        { id: 'x', function: { name: 'f', arguments: '{}' } },
        { id: 'y', function: { name: 'g', arguments: '{}' } },
      ],
    });
  });

  test('keeps fields that nobody knows, the last one sent', () => {
    const assembler = new Assembler();
    assembler.add({ ...chunk({ content: 'a', x: 1 }), y: 1, service_tier: 'default' });
    assembler.add({ ...chunk({ x: 2 }, { finish_reason: 'stop', native_finish_reason: 'STOP' }), y: 2 });
    assembler.add({
      object: 'chat.completion.chunk',
      choices: [],
      usage: { total_tokens: 3 },
      timings: { predicted_n: 1 },
    });
    expect(assembler.result()).toMatchObject({
      object: 'chat.completion',
      y: 2,
      service_tier: 'default',
      usage: { total_tokens: 3 },
      timings: { predicted_n: 1 },
      choices: [{ index: 0, message: { role: 'assistant', content: 'a', x: 2 }, native_finish_reason: 'STOP' }],
    });
  });

  test('is not thrown by a server that lies about shapes', () => {
    const assembler = new Assembler();
    for (const junk of [
      { choices: 5 },
      { choices: [null, 7, []] },
      { choices: [{ delta: 'x' }] },
      { choices: [{ delta: { tool_calls: [3, { index: -1, function: 9 }] } }] },
    ]) {
      assembler.add(junk);
    }
    expect(JSON.stringify(assembler.result())).toContain('chat.completion');
  });

  test('a field called __proto__ stays a field', () => {
    const assembler = new Assembler();
    assembler.add(
      JSON.parse('{"__proto__":{"polluted":1},"choices":[{"delta":{"__proto__":{"polluted":1},"content":"a"}}]}'),
    );
    assembler.result();
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });
});

describe('what is asked for whole because no stream carries it', () => {
  test.each<[object, boolean]>([
    [{}, true],
    [{ n: 1, logprobs: false, top_logprobs: null, modalities: ['text'] }, true],
    [{ tools: [], response_format: { type: 'json_object' } }, true],
    [{ n: 2 }, false],
    [{ logprobs: true }, false],
    [{ top_logprobs: 3 }, false],
    [{ modalities: ['text', 'audio'] }, false],
    [{ audio: { voice: 'x' } }, false],
  ])('%j streams faithfully: %p', (body, faithful) => {
    expect(streamsFaithfully(body as Record<string, unknown>)).toBe(faithful);
  });
});
