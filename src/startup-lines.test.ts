import { describe, expect, test } from 'bun:test';
import { type StartupFacts, startupLines } from './startup-lines.ts';

const facts: StartupFacts = {
  targets: [],
  config: { hints: [] },
  newAdminKeyPath: null,
  credentialNeeded: null,
  url: 'http://localhost:8000',
};
const tried = (change: Partial<StartupFacts>): string =>
  startupLines({ ...facts, ...change }).find((line) => line.includes('Try: curl')) ?? '';

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
