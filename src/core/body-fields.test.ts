import { describe, expect, test } from 'bun:test';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BODY_FIELDS, CHAT_MEMBERS } from './body-fields.ts';

describe('a member is taken for another', () => {
  test('when only its letters differ, as Go folds them', () => {
    for (const [name, field] of [
      ['Model', 'model'],
      ['MAX_TOKENS', 'max_tokens'],
      ['N', 'n'],
      ['me\u017f\u017fages', 'messages'],
      ['top_\u212a', 'top_k'],
      ['\u017ftream', 'stream'],
      ['Chat_Template', 'chat_template'],
    ] as const) {
      expect([name, CHAT_MEMBERS.inOtherLetters(name)]).toEqual([name, field]);
    }
  });

  test('not when it is that one, or is unknown', () => {
    for (const name of [...BODY_FIELDS, 'verbosity', 'maxTokens', 'Model2', '', '__proto__']) {
      expect([name, CHAT_MEMBERS.inOtherLetters(name)]).toEqual([name, null]);
    }
  });
});

test('whatever member of a message, part or call the code reads to count tokens is on the list', async () => {
  const source = await readFile(join(import.meta.dir, '../http/openai/prompt-text.ts'), 'utf8');
  const messages = CHAT_MEMBERS.of('messages');
  const known = { message: messages, part: messages?.of('content'), call: messages?.of('tool_calls') };
  const read = [
    ...source.matchAll(/\b(message|part)\['(\w+)'\]/g),
    ...source.matchAll(/objectOf\((call)\)\['(\w+)'\]/g),
  ];
  expect(read.length).toBeGreaterThan(4);
  for (const [, of = '', name = ''] of read) expect([of, name, known[of as 'part']?.of(name)]).not.toContain(undefined);
});

test('whatever member of a body the code reads or sets is on the list', async () => {
  const readers = [
    ...['http/openai/chat-request.ts', 'http/openai/prompt-facts.ts', 'http/openai/prompt-text.ts'],
    ...['usage/billing/reservation.ts', 'core/answer-count.ts', 'router/continuation.ts'],
    ...['adapters/openai-wire/request.ts', 'adapters/openai-wire/within-terms.ts'],
  ];
  const read = new Set<string>();
  for (const file of readers) {
    const source = await readFile(join(import.meta.dir, '..', file), 'utf8');
    for (const [, name = ''] of source.matchAll(/\b(?:body|changes)\['(\w+)'\]/g)) read.add(name);
    for (const [, names = ''] of source.matchAll(/const \{([^}]+)\} = (?:request\.)?body;/g)) {
      for (const [, name = ''] of names.matchAll(/(\w+)(?::\s*\w+)?/g)) read.add(name);
    }
  }
  expect(read.size).toBeGreaterThan(15);
  expect([...read].filter((name) => !BODY_FIELDS.has(name))).toEqual([]);
});
