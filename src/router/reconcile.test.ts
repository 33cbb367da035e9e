import { describe, expect, test } from 'bun:test';
import { adapterOf, snapshotOf, targetOf } from '../../test/support/fleet.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { ProviderAdapter } from '../core/adapter.ts';
import { Cancellation } from '../core/cancellation.ts';
import { UpstreamError } from '../core/failure.ts';
import { Secret } from '../core/secret.ts';
import { ADAPTER_KINDS, type AdapterKind, type Target, type TargetSnapshot } from '../core/target.ts';
import { HealthProber } from './health.ts';
import type { Lease } from './lease.ts';
import { SlotTable } from './load.ts';
import { reconciliation } from './reconcile.ts';
import { TargetDirectory } from './targets.ts';

const target = (id: string, change: Partial<Target> = {}): Target => ({
  ...targetOf({ id, kind: 'openai-compatible', provider: id, place: 'local' }),
  baseUrl: `http://${id}:1`,
  ...change,
});
const SNAPSHOT = snapshotOf({ slots: 1 });

/** A directory whose servers are asked nothing but probes, each answered when the test says so. */
function directoryOf(...targets: Target[]) {
  const probes: { readonly target: Target; readonly good: () => void; readonly bad: (error: Error) => void }[] = [];
  const adapters = new Map<AdapterKind, ProviderAdapter>();
  for (const kind of ADAPTER_KINDS) {
    const probe = (asked: Target): Promise<TargetSnapshot> =>
      new Promise((resolve, reject) => {
        probes.push({ target: asked, good: () => resolve(SNAPSHOT), bad: reject });
      });
    adapters.set(kind, adapterOf(kind, { defaultSlots: 1, probe }));
  }
  const clock = new ManualClock();
  const directory = new TargetDirectory(adapters, clock);
  for (const each of targets) directory.put(each);
  const entryOf = (id: string) => {
    const entry = directory.get(id);
    if (entry === undefined) throw new Error(`there is no ${id}`);
    return entry;
  };
  return { clock, directory, entryOf, probes };
}

/** The same, with its servers asked from now on. */
function probed(...targets: Target[]) {
  const parts = directoryOf(...targets);
  const silent = (): void => undefined;
  const logger = { debug: silent, info: silent, warn: silent, error: silent };
  const prober = new HealthProber(parts.directory, parts.clock, logger, { intervalMs: 5_000 });
  prober.start();
  return { ...parts, prober };
}

describe('a new list of targets', () => {
  test('is told apart from the old one by name and content, keys included', () => {
    const key = (text: string) => ({ apiKey: new Secret(text) });
    const before = [target('same', key('k')), target('key', key('k')), target('url'), target('gone')];
    const wanted = [
      target('new'),
      target('same', key('k')),
      target('key', key('other')),
      target('url', { baseUrl: 'http://x' }),
    ];
    const { changes, renewed } = reconciliation(before, wanted);
    expect(changes).toEqual({ added: ['new'], removed: ['gone'], changed: ['key', 'url'], kept: ['same'] });
    expect([...renewed]).toEqual(['new', 'url']);
  });

  test('is in force in its own order', () => {
    const { directory } = directoryOf(target('a'), target('b'));
    directory.reconcile([target('c'), target('b'), target('a')]);
    expect(directory.entries().map(({ target: { id } }) => id)).toEqual(['c', 'b', 'a']);
  });

  test('with a target that cannot be made changes nothing', () => {
    const { directory, entryOf } = directoryOf(target('a'));
    const before = entryOf('a');
    const impossible = { ...target('b'), adapterKind: 'nothing' as AdapterKind };
    expect(() => directory.reconcile([target('a', { maxConcurrent: 9 }), impossible])).toThrow('nothing');
    expect(directory.entries()).toEqual([before]);
    expect(before.target.maxConcurrent).toBeNull();
  });
});

describe('a target that is configured anew', () => {
  test('keeps what is known of its server, and is another one at another address', () => {
    const { directory, entryOf } = directoryOf(target('a'), target('b'));
    const [a, b] = [entryOf('a'), entryOf('b')];
    directory.reconcile([target('a', { maxConcurrent: 3 }), target('b', { baseUrl: 'http://elsewhere' })]);
    expect(entryOf('a')).toBe(a);
    expect([a.target.maxConcurrent, a.retired]).toEqual([3, false]);
    expect(entryOf('b')).not.toBe(b);
    expect(b.retired).toBe(true);
  });

  test('is not put to rest by what its old key comes to, nor by what it came to', () => {
    const { directory, entryOf } = directoryOf(target('a', { apiKey: new Secret('old') }));
    const entry = entryOf('a');
    const [early, late] = [directory.begin(entry, 'm'), directory.begin(entry, 'm')];
    const refused = new UpstreamError('badCredentials', 'no such key');
    directory.failed(early, refused);
    expect(entry.cooldown).not.toBeNull();
    directory.reconcile([target('a', { apiKey: new Secret('new') })]);
    expect(entry.cooldown).toBeNull();
    directory.failed(late, refused);
    expect(entry.cooldown).toBeNull();
    directory.failed(directory.begin(entry, 'm'), refused);
    expect(entry.cooldown).not.toBeNull();
  });

  test('still rests as long as it asked to when only its clocks are others', () => {
    const { directory, entryOf } = directoryOf(target('a'));
    directory.failed(
      directory.begin(entryOf('a'), 'm'),
      new UpstreamError('overloaded', 'wait', { retryAfterMs: 9_000 }),
    );
    directory.reconcile([target('a', { clocks: { ...target('a').clocks, idleMs: 9 } })]);
    expect(entryOf('a').cooldown).not.toBeNull();
  });

  test('is probed once more when it was so while a probe ran that then succeeded', async () => {
    const { clock, directory, entryOf, probes, prober } = probed(target('a', { apiKey: new Secret('old') }));
    directory.reconcile([target('a', { apiKey: new Secret('new') })]);
    probes[0]?.good();
    await clock.advance(0);
    expect(probes.map((probe) => probe.target.apiKey?.reveal())).toEqual(['old', 'new']);
    probes[1]?.good();
    await clock.advance(0);
    expect([entryOf('a').wantsProbe, probes.length]).toEqual([false, 2]);
    prober.stop();
  });

  test('is probed at once, and a probe with the old key that fails meanwhile counts for nothing', async () => {
    const { clock, directory, entryOf, probes, prober } = probed(target('a', { apiKey: new Secret('old') }));
    directory.reconcile([target('a', { apiKey: new Secret('new') })]);
    expect(probes.map((probe) => probe.target.apiKey?.reveal())).toEqual(['old']);
    probes[0]?.bad(new UpstreamError('unreachable', 'refused'));
    await clock.advance(0);
    expect(entryOf('a').breaker.name).toBe('closed');
    expect(probes.map((probe) => probe.target.apiKey?.reveal())).toEqual(['old', 'new']);
    probes[1]?.good();
    await clock.advance(1_000);
    expect(entryOf('a').health).toBe('up');
    directory.reconcile([target('a', { apiKey: new Secret('newest') })]);
    expect(probes.map((probe) => probe.target.apiKey?.reveal())).toEqual(['old', 'new', 'newest']);
    prober.stop();
  });
});

describe('who waits for a slot', () => {
  function full(...targets: Target[]) {
    const { clock, directory, entryOf } = directoryOf(...targets);
    const slots = new SlotTable(clock, directory, 10);
    const choices = targets.map(({ id }) => ({ entry: entryOf(id), model: 'm', outOfTurn: false }));
    const leases = choices.map((choice) => slots.take(choice));
    const came: (Lease | UpstreamError)[] = [];
    const note = (result: Lease | UpstreamError): void => void came.push(result);
    const patience = { timeoutMs: 10_000, deadlineMs: 10_000, hasOther: false, mayReplan: false };
    slots.wait(choices, patience, new Cancellation()).then((lease) => note(lease as Lease), note);
    /** What has come of the wait by now; looked at, since a wait that never ends would end the test's process instead. */
    const outcome = async (): Promise<Lease | UpstreamError | undefined> => {
      await clock.advance(0);
      return came[0];
    };
    return { directory, choices, leases, outcome };
  }

  test('of a server that is removed is told so at once', async () => {
    const { directory, choices, outcome } = full(target('a'));
    directory.reconcile([target('b')]);
    expect(await outcome()).toMatchObject({ kind: 'unreachable' });
    expect(choices[0]?.entry.queued).toBe(0);
  });

  test('of several goes on waiting for those that stay', async () => {
    const { directory, leases, outcome } = full(target('a'), target('b'));
    directory.remove('a');
    leases[0]?.release();
    expect(await outcome()).toBeUndefined();
    leases[1]?.release();
    expect(await outcome()).toMatchObject({ choice: { entry: { target: { id: 'b' } } } });
  });

  test('is served when the limit is raised', async () => {
    const { directory, outcome } = full(target('a', { maxConcurrent: 1 }));
    directory.reconcile([target('a', { maxConcurrent: 2 })]);
    expect(await outcome()).toMatchObject({ call: { target: { maxConcurrent: 2 } } });
  });
});
