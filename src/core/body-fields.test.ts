import { describe, expect, test } from 'bun:test';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BODY_FIELDS, fieldInOtherLetters } from './body-fields.ts';

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
      expect([name, fieldInOtherLetters(name)]).toEqual([name, field]);
    }
  });

  test('not when it is that one, or is unknown', () => {
    for (const name of [...BODY_FIELDS, 'verbosity', 'maxTokens', 'Model2', '', '__proto__']) {
      expect([name, fieldInOtherLetters(name)]).toEqual([name, null]);
    }
  });
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
