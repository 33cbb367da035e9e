import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Simulator } from '../../simulators/index.ts';
import type { Config } from '../../src/config/config.ts';
import type { Billing } from '../../src/core/billing.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Outcome, OutcomeSink } from '../../src/core/outcome.ts';
import { Secret } from '../../src/core/secret.ts';
import type { Target } from '../../src/core/target.ts';
import { createGateway, type Gateway } from '../../src/gateway.ts';
import { type EntrySketch, targetOf, testClocks } from './fleet.ts';

interface TestOnly {
  readonly awaitProbes?: boolean;
  readonly clock?: Clock;
  /** Where outcomes go; `outcomes` then stays empty. */
  readonly sink?: OutcomeSink;
  readonly billing?: Billing;
}

export interface TestGateway {
  readonly gateway: Gateway;
  readonly url: string;
  readonly outcomes: Outcome[];
  readonly adminKey: string;
  readonly dataDir: string;
  /** Posts a chat request; a text becomes one user message. */
  chat(body: object | string, init?: { headers?: Record<string, string>; signal?: AbortSignal }): Promise<Response>;
  stop(): Promise<void>;
}

/** A whole gateway in this process, on a free port, in front of the given targets. */
export async function startTestGateway(
  targets: readonly Target[],
  { awaitProbes = true, clock, sink, billing, ...change }: Partial<Config> & TestOnly = {},
): Promise<TestGateway> {
  const dataDir = change.dataDir ?? mkdtempSync(join(tmpdir(), 'swarmrouter-test-'));
  const adminKey = 'test-admin-key-0123456789';
  const config: Config = {
    host: '127.0.0.1',
    port: 0,
    dataDir,
    adminKey: new Secret(adminKey),
    allowedHosts: [],
    trustedProxies: [],
    strategy: 'local-first',
    streamRecovery: false,
    maxFirstTokenMs: null,
    routes: new Map([
      ['local-first', { name: 'local-first', strategy: 'local-first', streamRecovery: false, maxFirstTokenMs: null }],
      ['fastest', { name: 'fastest', strategy: 'fastest', streamRecovery: false, maxFirstTokenMs: null }],
    ]),
    defaultModel: null,
    modelAliases: new Map(),
    standIn: 'always',
    maxRetries: 3,
    retryDelayMs: 10,
    queueTimeoutMs: 2_000,
    queueLimit: 256,
    retryBudget: { percent: 20, floorPerSecond: 1 },
    cancelGraceMs: 50,
    clientStallMs: 60_000,
    maxMemoryBytes: null,
    maxLoopLagMs: 60_000,
    requestTimeoutMs: 10_000,
    probeIntervalMs: 100,
    drainTimeoutMs: 1_000,
    maxBodyBytes: 32 * 1_048_576,
    bodyTimeoutMs: 20_000,
    slowBodyLimit: 64,
    logLevel: 'error',
    usage: false,
    budgetAnswerTokens: 4_096,
    databaseUrl: null,
    keyPepper: null,
    masterKey: null,
    publicUrl: null,
    oidc: null,
    prices: [],
    localRates: [],
    compareWith: new Map(),
    logRequests: false,
    logResponses: false,
    decisions: 1_000,
    targets,
    clocksFor: () => testClocks,
    maxConcurrent: null,
    assemble: true,
    settings: [],
    hints: [],
    files: [],
    ...change,
  };
  const outcomes: Outcome[] = [];
  const gateway = await createGateway(config, {
    logTo: join(dataDir, 'log.jsonl'),
    ...(clock === undefined ? {} : { clock }),
    ...(billing === undefined ? {} : { billing }),
    sink: sink ?? { record: (outcome) => outcomes.push(outcome) },
  });
  if (awaitProbes) await gateway.probed(2_000);
  return {
    gateway,
    url: gateway.url,
    outcomes,
    adminKey,
    dataDir,
    chat: (body, init = {}) =>
      fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...init.headers },
        body: JSON.stringify(typeof body === 'string' ? { messages: [{ role: 'user', content: body }] } : body),
        ...(init.signal === undefined ? {} : { signal: init.signal }),
      }),
    stop: async () => {
      await gateway.stop(0);
      if (change.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

type TargetChange = EntrySketch & Partial<Omit<Target, 'deployments'>>;

/** The target that leads to a simulator. */
export function targetFor(simulator: Pick<Simulator, 'kind' | 'baseUrl'>, change: TargetChange = {}): Target {
  const { id, kind, provider, place, models, slots, listsEverything, deployments, ...rest } = change;
  const sketch = { id, kind: simulator.kind, provider, place, deployments };
  const defined = Object.fromEntries(Object.entries(sketch).filter(([, value]) => value !== undefined));
  return { ...targetOf(defined as EntrySketch), baseUrl: simulator.baseUrl, ...(rest as Partial<Target>) };
}

/** The events of an SSE body, parsed; `[DONE]` as that string. */
export async function readEvents(response: Response): Promise<unknown[]> {
  const text = await response.text();
  return text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice('data: '.length))
    .map((data) => (data === '[DONE]' ? data : JSON.parse(data)));
}

/** The text of all content deltas. */
export function contentOf(events: readonly unknown[]): string {
  return events
    .map((event) => (event as { choices?: { delta?: { content?: string } }[] }).choices?.[0]?.delta?.content ?? '')
    .join('');
}

/** Asks again and again until it is true; fails after `atMostMs`. */
export async function until(what: string, isTrue: () => boolean | Promise<boolean>, atMostMs = 3_000): Promise<void> {
  const deadlineMs = performance.now() + atMostMs;
  while (!(await isTrue())) {
    if (performance.now() > deadlineMs) throw new Error(`not within ${atMostMs} ms: ${what}`);
    await Bun.sleep(5);
  }
}
