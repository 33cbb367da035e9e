import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { targetOf } from '../../test/support/fleet.ts';
import type { RoutePlan } from '../core/plan.ts';
import { Spills } from './spills.ts';

function planOf(place: 'local' | 'cloud', spills: boolean): RoutePlan {
  const step = {
    target: targetOf(place === 'local' ? { id: 'desk' } : { id: 'cloud', kind: 'openrouter' }),
    model: 'm',
    modelLoaded: true,
    waits: false,
    waitAtMostMs: null,
    resting: false,
    lastHope: false,
    reason: 'it is first',
    estimate: null,
  };
  return { steps: [step], leftOut: [], promptTokens: null, spills, maxAttempts: 1 };
}
const SPILLS = planOf('cloud', true);
const COMES_BACK = planOf('local', false);

describe('models whose requests go to the cloud because local targets are too slow', () => {
  test('are remembered in whatever case they are asked for, until a request is served locally again', () => {
    const spills = new Spills();
    spills.note('Qwen', SPILLS);
    expect([...spills.spilling]).toEqual(['qwen']);
    spills.note('QWEN', COMES_BACK);
    expect([...spills.spilling]).toEqual([]);
  });

  test('stay so when a request goes to the cloud for another reason: that says nothing of local targets', () => {
    const spills = new Spills();
    spills.note('qwen', SPILLS);
    spills.note('qwen', planOf('cloud', false));
    expect([...spills.spilling]).toEqual(['qwen']);
  });

  test('are not mixed up: what one model does says nothing of another', () => {
    const spills = new Spills();
    spills.note('qwen', SPILLS);
    spills.note('llama', COMES_BACK);
    expect([...spills.spilling]).toEqual(['qwen']);
  });

  test('are at most a thousand, the latest names, whatever clients ask for', () => {
    const spills = new Spills();
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 500, maxLength: 1_500 }), (names) => {
        for (const name of names) spills.note(`name-${name}`, SPILLS);
        const latest = names.at(-1) as number;
        return spills.spilling.size <= 1_000 && spills.spilling.has(`name-${latest}`);
      }),
    );
  });
});
