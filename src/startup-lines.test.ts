import { describe, expect, test } from 'bun:test';
import { targetOf } from '../test/support/fleet.ts';
import type { TargetView } from './core/target-view.ts';
import { type StartupFacts, startupLines } from './startup-lines.ts';

const facts: StartupFacts = {
  targets: [],
  config: { hints: [] },
  newAdminKeyPath: null,
  credentialNeeded: null,
  url: 'http://localhost:8000',
};
const viewOf = (place: 'local' | 'cloud'): TargetView => ({
  ...{ target: targetOf({ place }), health: 'up', healthReason: null, snapshot: null },
  ...{ inFlight: 0, queued: 0, slots: null, probedAtWallMs: 0, learned: [] },
  stats: { requests: 0, errors: 0, errorRate: 0, latencyP50Ms: null, latencyP95Ms: null, lastError: null },
});
const tried = (change: Partial<StartupFacts>): string =>
  startupLines({ ...facts, ...change }).find((line) => line.includes('Try: curl')) ?? '';

describe('what to set next', () => {
  const hints = [
    { text: 'set a cloud.', unless: 'cloud' },
    { text: 'set more.', unless: null },
  ] as const;
  const next = (...places: ('local' | 'cloud')[]): string[] =>
    startupLines({ ...facts, config: { hints }, targets: places.map((place) => viewOf(place)) }).filter((line) =>
      line.includes('Next: set '),
    );

  test('is not said of a cloud when there is one, also one that was given at run time', () => {
    const [cloud, more] = ['  Next: set a cloud.', '  Next: set more.'];
    expect(next('local')).toEqual([cloud, more]);
    expect(next('local', 'cloud')).toEqual([more]);
  });
});

describe('the line to try after the start', () => {
  test('needs no credential while none is asked for', () => {
    expect(tried({})).not.toContain('authorization');
  });

  test('brings the credential along that is asked for, so that it is not refused', () => {
    expect(tried({ credentialNeeded: 'client key' })).toContain("-H 'authorization: Bearer <client key>'");
    expect(tried({ credentialNeeded: 'admin key' })).toContain("-H 'authorization: Bearer <admin key>'");
  });

  test('says how a client key is made where one is needed', () => {
    expect(startupLines({ ...facts, credentialNeeded: 'client key' }).at(-1)).toContain('swarmrouter keys create');
    expect(startupLines(facts).join('\n')).not.toContain('keys create');
  });
});
