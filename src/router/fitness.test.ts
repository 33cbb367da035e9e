import { expect, test } from 'bun:test';
import { entryOf } from '../../test/support/fleet.ts';
import { NO_PROMPT } from '../core/prompt.ts';
import { whyUnfit } from './fitness.ts';
import { modelIndex } from './model-index.ts';
import type { TargetEntry } from './targets.ts';

type Ability = 'vision' | 'tools' | 'jsonSchema';

function unfit(ability: Ability, says: boolean | null, asked: boolean): string | null {
  const capabilities = { vision: null, tools: null, reasoning: null, jsonSchema: null, [ability]: says };
  const entry: TargetEntry = entryOf({ models: [{ id: 'm', capabilities }] });
  const info = entry.snapshot === null ? null : modelIndex(entry.snapshot).find('m');
  const match = { model: 'm', info, loaded: true, how: 'named', words: '' } as const;
  const prompt = { ...NO_PROMPT, needs: { ...NO_PROMPT.needs, [ability]: asked } };
  return whyUnfit(entry.meter('m'), match, prompt, 4, 0)?.reason ?? null;
}

test.each<[Ability, string]>([
  ['vision', 'm cannot see images'],
  ['tools', 'm cannot call tools'],
  ['jsonSchema', 'm cannot keep to a JSON schema'],
])('a model that says it lacks %s is left out of requests that need it, and of no others', (ability, reason) => {
  expect(unfit(ability, false, true)).toBe(reason);
  expect(unfit(ability, false, false)).toBeNull();
  expect(unfit(ability, true, true)).toBeNull();
  // Who says nothing may be able.
  expect(unfit(ability, null, true)).toBeNull();
});
