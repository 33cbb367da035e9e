import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { adapterOf, entryOf } from '../../test/support/fleet.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { Cancellation } from '../core/cancellation.ts';
import { UpstreamError } from '../core/failure.ts';
import type { Lease } from './lease.ts';
import { SlotTable } from './load.ts';
import { slotUseByName } from './target-entry.ts';
import { TargetDirectory, type TargetEntry } from './targets.ts';

interface Waiter {
  readonly number: number;
  readonly choices: readonly number[];
  readonly model: string;
  readonly client: Cancellation;
}

/** What may happen to a queue; the numbers are taken modulo what there is. */
const step = fc.oneof(
  // Twice, so that queues grow.
  ...[1, 2].map(() =>
    fc.record({
      do: fc.constant('come' as const),
      choices: fc.uniqueArray(fc.nat(3), { minLength: 1 }),
      model: fc.constantFrom('m', 'n'),
    }),
  ),
  fc.record({ do: fc.constant('release' as const), which: fc.nat() }),
  fc.record({ do: fc.constant('leave' as const), which: fc.nat() }),
  fc.record({ do: fc.constant('down' as const), which: fc.nat(3) }),
  fc.record({ do: fc.constant('up' as const), which: fc.nat(3) }),
  fc.record({ do: fc.constant('pass' as const), which: fc.nat(3_000) }),
);

async function play(steps: readonly (typeof step extends fc.Arbitrary<infer Step> ? Step : never)[]) {
  const clock = new ManualClock();
  const directory = new TargetDirectory(new Map([['lm-studio', adapterOf('lm-studio')]]), clock);
  const slots = new SlotTable(clock, directory, 1_000);
  const entries = [1, 2, 1, 3].map((maxConcurrent, at) => entryOf({ id: `t${at}`, maxConcurrent }));
  const waiting = new Set<Waiter>();
  const held: Lease[] = [];
  const passedOver: Waiter[] = [];
  let number = 0;
  const choicesOf = ({ choices, model }: Pick<Waiter, 'choices' | 'model'>) =>
    choices.map((at) => ({ entry: entries[at] as TargetEntry, model, outOfTurn: false }));
  const come = (choices: readonly number[], model: string): void => {
    const waiter = { number: ++number, choices, model, client: new Cancellation() };
    waiting.add(waiter);
    const patience = { timeoutMs: 60_000, deadlineMs: Number.POSITIVE_INFINITY, hasOther: true, mayReplan: false };
    slots.wait(choicesOf(waiter), patience, waiter.client).then(
      (granted) => {
        const lease = granted as Lease;
        const passed = [...waiting].filter((other) => other.number < waiter.number && isServable(other, lease));
        passedOver.push(...passed);
        waiting.delete(waiter);
        held.push(lease);
      },
      () => waiting.delete(waiter),
    );
  };
  /** Somebody who came before and could have had this very slot. */
  const isServable = ({ choices }: Waiter, { choice }: Lease): boolean =>
    choices.some((at) => entries[at] === choice.entry);
  for (const each of steps) {
    if (each.do === 'come') come(each.choices, each.model);
    else if (each.do === 'release') held.splice(each.which % Math.max(1, held.length), 1)[0]?.release();
    else if (each.do === 'leave') {
      [...waiting][each.which % Math.max(1, waiting.size)]?.client.cancel(new UpstreamError('cancelled', 'gone'));
    } else if (each.do === 'down') {
      directory.probeFailed(entries[each.which] as TargetEntry, new UpstreamError('unreachable', 'refused'));
    } else if (each.do === 'up')
      directory.probed(entries[each.which] as TargetEntry, (entries[each.which] as TargetEntry).snapshot as never);
    await clock.advance(each.do === 'pass' ? each.which : 0);
    expect(passedOver).toEqual([]);
    for (const waiter of waiting) {
      const free = choicesOf(waiter).filter(({ entry, model }) => {
        const { busy, slots: limit } = slotUseByName(entry, model);
        return entry.breaker.name === 'closed' && busy < limit;
      });
      expect(free.map(({ entry }) => entry.target.id)).toEqual([]);
    }
    for (const [at, entry] of entries.entries()) {
      expect(entry.queued).toBe([...waiting].filter(({ choices }) => choices.includes(at)).length);
      expect(entry.inFlight).toBe(held.filter(({ choice }) => choice.entry === entry).length);
    }
  }
}

describe('the queue, whatever happens', () => {
  test('serves in order of arrival, leaves nobody waiting for a free slot, and loses neither slots nor waiters', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => play(steps)),
      { numRuns: 200 },
    );
  });

  test.each([
    ['one model', () => 'm'],
    ['names that clients invent', (n: number) => `model-${n}`],
  ])('looks at few of the thousands that wait for %s when a slot frees', async (_, modelOf) => {
    const clock = new ManualClock();
    const slots = new SlotTable(clock, new TargetDirectory(new Map(), clock), 100_000);
    const entries = Array.from({ length: 20 }, (_, at) => entryOf({ id: `t${at}`, maxConcurrent: 1 }));
    let looks = 0;
    for (const entry of entries) {
      // Counted where each look begins.
      Object.defineProperty(entry, 'loadWanted', {
        get: () => {
          looks++;
          return null;
        },
        set: () => undefined,
      });
    }
    const choices = (n: number) => entries.map((entry) => ({ entry, model: modelOf(n), outOfTurn: false }));
    const held = choices(0).map((choice) => slots.take(choice) as Lease);
    const patience = { timeoutMs: 60_000, deadlineMs: 60_000, hasOther: true, mayReplan: false };
    for (let n = 0; n < 2_000; n++) void slots.wait(choices(n), patience, new Cancellation()).catch(() => null);
    looks = 0;
    held[7]?.release();
    await clock.advance(0);
    expect(looks).toBeLessThan(200);
  });
});
