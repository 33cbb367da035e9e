import { expect, test } from 'bun:test';
import { targetOf } from '../../test/support/fleet.ts';
import { Cancellation } from '../core/cancellation.ts';
import { UpstreamError } from '../core/failure.ts';
import type { PlanStep } from '../core/plan.ts';
import { NO_PROMPT } from '../core/prompt.ts';
import { PlanWalk } from './plan-walk.ts';

function stepTo(id: string, change: Partial<PlanStep> = {}): PlanStep {
  const whenToAsk = { waits: false, waitAtMostMs: null, resting: false, lastHope: false };
  return {
    target: targetOf({ id }),
    model: 'm',
    modelLoaded: true,
    ...whenToAsk,
    estimate: null,
    reason: 't',
    ...change,
  };
}

function walkOf(...steps: [PlanStep, ...PlanStep[]]): PlanWalk {
  const plan = { steps, leftOut: [], maxAttempts: 4, promptTokens: null, spills: false };
  return new PlanWalk(plan, NO_PROMPT, new Cancellation(), 60_000, async () => [], { changes: 0, atMs: 0 });
}

const names = ({ untried }: PlanWalk) => untried.map(({ target }) => target.id);

test('a new plan keeps the targets that are to be asked once more: a model that loads is still waited for', () => {
  const loading = stepTo('loading');
  const walk = walkOf(loading, stepTo('old'));
  walk.untried.shift();
  walk.note(loading, new UpstreamError('modelLoading', 'loading'), 0, 10);
  walk.awaitLoading(loading);
  walk.planAnew([stepTo('new')]);
  expect(names(walk)).toEqual(['new', 'loading']);
});

test('a retry that has been paid for is one also when its wait is put off', () => {
  const walk = walkOf(stepTo('a', { waits: true, waitAtMostMs: 5 }), stepTo('b'));
  const [step] = walk.untried as [PlanStep];
  walk.untried.shift();
  walk.again({ step, readyAtMs: 0 });
  const [retry] = walk.untried as [PlanStep];
  walk.putOff([retry]);
  const off = walk.untried.find(({ target }) => target.id === 'a') as PlanStep;
  expect([names(walk), walk.isRetry(off), off.waits, off.waitAtMostMs]).toEqual([['b', 'a'], true, true, null]);
});
