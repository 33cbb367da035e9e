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

test('a target whose bill was refused was not asked: the attempts are left to others', () => {
  const steps = [stepTo('a'), stepTo('b'), stepTo('c')] as const;
  const walk = walkOf(...steps);
  walk.note(steps[0], new UpstreamError('overBudget', 'no price'), 0, 10);
  walk.note(steps[1], new UpstreamError('unbillable', 'no ledger'), 0, 10);
  expect(walk.charged).toBe(0);
  walk.note(steps[2], new UpstreamError('failed', 'broken'), 0, 10);
  expect(walk.charged).toBe(1);
});

test('a budget where waiting does not help hides neither a failure nor a budget that has room later', () => {
  const hopeless = new UpstreamError('overBudget', 'no price is known');
  const later = new UpstreamError('overBudget', 'it resets at midnight', { retryAfterMs: 1_000 });
  const broken = new UpstreamError('failed', 'broken');
  const missing = new UpstreamError('modelMissing', 'no such model');
  const told = (...errors: UpstreamError[]) => {
    const walk = walkOf(stepTo('a'));
    for (const error of errors) walk.note(stepTo(error.message), error, 0, 10);
    return walk.lastError?.message;
  };
  for (const better of [broken, later]) {
    expect(told(better, hopeless)).toBe(better.message);
    expect(told(hopeless, better)).toBe(better.message);
  }
  expect([told(missing, hopeless), told(hopeless, missing)]).toEqual([hopeless.message, hopeless.message]);
});
