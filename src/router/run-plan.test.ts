import { describe, expect, test } from 'bun:test';
import { adapterOf, targetOf } from '../../test/support/fleet.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { UpstreamCall, UpstreamReply } from '../core/adapter.ts';
import { Cancellation } from '../core/cancellation.ts';
import { UpstreamError } from '../core/failure.ts';
import type { PlanStep, RoutePlan } from '../core/plan.ts';
import { NO_PROMPT } from '../core/prompt.ts';
import type { InferenceRequest } from '../core/request.ts';
import { Secret } from '../core/secret.ts';
import type { Target } from '../core/target.ts';
import type { Lease } from './lease.ts';
import { SlotTable } from './load.ts';
import { PlanRunner, type RunResult } from './run-plan.ts';
import { TargetDirectory, type TargetEntry } from './targets.ts';

const REPLY: UpstreamReply = { kind: 'whole', bytes: new Uint8Array(), model: 'm', usage: null, producedTokens: 0 };
/** The servers below read nothing of it. */
const REQUEST = { prompt: NO_PROMPT } as InferenceRequest;
const DEADLINE_MS = 60_000;
const RUN_OPTIONS = { retryDelayMs: 1_000, queueTimeoutMs: 30_000, cancelGraceMs: 0 };

const target = (id: string, key: string): Target => ({
  ...targetOf({ id, maxConcurrent: 1 }),
  apiKey: new Secret(key),
});

/** `limited` asks to be left alone for 5 s at its first call, `full` has no slot free: the request waits for either. */
async function waiting(clientLeavesAtMs: number | null = null, retryAfterMs = 5_000, clock = new ManualClock()) {
  const cancellation = new Cancellation();
  const leave = (): void => cancellation.cancel(new UpstreamError('cancelled', 'the client went away'));
  if (clientLeavesAtMs !== null) clock.after(clientLeavesAtMs, leave);
  const calls: string[] = [];
  const call = async ({ target: { id, apiKey } }: UpstreamCall): Promise<UpstreamReply> => {
    calls.push(`${id} with ${apiKey?.reveal()}`);
    if (calls.length === 1) throw new UpstreamError('overloaded', 'wait', { retryAfterMs });
    return REPLY;
  };
  const adapter = adapterOf('lm-studio', { defaultSlots: 1, finishesPrompt: false, call });
  const budget = { percent: 0, floorPerSecond: 0.1 };
  const directory = new TargetDirectory(new Map([['lm-studio', adapter]]), clock, budget);
  const [limited, full] = [directory.put(target('limited', 'old')), directory.put(target('full', 'k'))];
  const slots = new SlotTable(clock, directory, 10);
  const held = slots.take({ entry: full, model: 'm', outOfTurn: false }) as Lease;
  const runner = new PlanRunner(directory, slots, clock, RUN_OPTIONS);
  const plan: RoutePlan = {
    steps: [stepTo(limited), stepTo(full)],
    leftOut: [],
    maxAttempts: 3,
    promptTokens: null,
    spills: false,
  };
  const ended: RunResult[] = [];
  void runner.run(REQUEST, plan, cancellation, DEADLINE_MS, async () => []).then((result) => ended.push(result));
  await clock.advance(0);
  return { clock, calls, directory, limited, full, held, ended };
}

function stepTo({ target }: TargetEntry): PlanStep {
  const whenToAsk = { waits: false, waitAtMostMs: null, resting: false, lastHope: false };
  return { target, model: 'm', modelLoaded: true, ...whenToAsk, estimate: null, reason: 'test' };
}

/** As the runtime's timers are. */
function clockOfWholeMs(): ManualClock {
  const clock = new ManualClock();
  const exact = clock.after.bind(clock);
  clock.after = (delayMs, run) => exact(Math.floor(delayMs), run);
  return clock;
}

describe('a request that waits for a slot while another target has asked for a pause', () => {
  test('goes back there once it may', async () => {
    const { clock, calls, ended } = await waiting();
    await clock.advance(4_999);
    expect(calls).toEqual(['limited with old']);
    await clock.advance(1);
    expect(calls).toEqual(['limited with old', 'limited with old']);
    expect(ended).toMatchObject([{ kind: 'committed' }]);
  });

  test('goes back there with the key that it has by then', async () => {
    const { clock, calls, directory } = await waiting();
    directory.reconcile([target('limited', 'new'), target('full', 'k')]);
    await clock.advance(5_000);
    expect(calls).toEqual(['limited with old', 'limited with new']);
  });

  test('is sent to nobody when its client leaves in that very moment', async () => {
    const { clock, calls, limited, ended } = await waiting(5_000);
    await clock.advance(5_000);
    expect(ended).toMatchObject([{ kind: 'failed', error: { kind: 'cancelled' } }]);
    expect([calls.length, limited.retryBudget.isSpent]).toEqual([1, false]);
  });

  test('goes on waiting for the slot when others have used up the retries of that target', async () => {
    const { clock, calls, limited, held, ended } = await waiting();
    await clock.advance(4_999);
    limited.retryBudget.withdraw();
    await clock.advance(1);
    expect(calls).toHaveLength(1);
    held.release();
    await clock.advance(0);
    expect(calls).toEqual(['limited with old', 'full with k']);
    expect(ended).toMatchObject([{ kind: 'committed' }]);
  });

  test('goes on waiting also when timers, which count whole milliseconds, fire a little early', async () => {
    const { clock, calls, limited, held, ended } = await waiting(null, 5_000.6, clockOfWholeMs());
    await clock.advance(4_999);
    limited.retryBudget.withdraw();
    await clock.advance(1);
    expect(calls).toHaveLength(1);
    held.release();
    await clock.advance(0);
    expect(calls).toEqual(['limited with old', 'full with k']);
    expect(ended).toMatchObject([{ kind: 'committed' }]);
  });
});

test('a plan that led to no attempt is not made again and again while nothing has changed', async () => {
  const clock = new ManualClock();
  const directory = new TargetDirectory(new Map([['lm-studio', adapterOf('lm-studio')]]), clock, {
    percent: 0,
    floorPerSecond: 0.1,
  });
  const entry = directory.put(targetOf({ id: 'resting' }));
  entry.retryBudget.withdraw();
  const runner = new PlanRunner(directory, new SlotTable(clock, directory, 10), clock, RUN_OPTIONS);
  const resting = { ...stepTo(entry), resting: true };
  const plan: RoutePlan = { steps: [resting], leftOut: [], maxAttempts: 3, promptTokens: null, spills: false };
  let plans = 0;
  const result = await runner.run(REQUEST, plan, new Cancellation(), DEADLINE_MS, async () => {
    plans++;
    return [resting];
  });
  expect(result).toMatchObject({ kind: 'failed', attempts: [] });
  expect(plans).toBe(0);
});
