import { type Simulator, startSimulator } from '../../simulators/index.ts';
import { Clients, type SeenAnswer } from './clients.ts';
import type { Flags, StoreKind } from './flags.ts';
import { KilledGateway } from './gateway.ts';
import { endedRows, type Finding, judge, type LedgerRow } from './judge.ts';

/** Of each store: what its kills showed. */
export interface StoreResult {
  readonly store: StoreKind;
  readonly kills: number;
  readonly requests: number;
  /** Answers whose end a client saw. */
  readonly answers: number;
  readonly refused: number;
  /** Requests that a kill left without an end. */
  readonly cut: number;
  readonly rows: number;
  /** Of each state at the end. */
  readonly states: Readonly<Record<string, number>>;
  readonly slowestReadyMs: number;
  /** From ready until no call of the dead process was open any more. */
  readonly slowestOrphansMs: number;
  readonly overspentUsd: number;
  readonly findings: readonly Finding[];
  /** Sentences of what `ledger verify` found. */
  readonly broken: readonly string[];
}

const ORPHANS_WITHIN_MS = 10_000;
/** Some two dozen calls: most are spent in their first round or the one after the kill. */
const BUDGET_USD = 0.008;
/** How long the load runs before a kill: long enough for answers, short enough for kills in the first moments. */
const LEAST_LOAD_MS = 60;
const MOST_LOAD_MS = 1_200;

export async function runKills(
  flags: Flags,
  kills: number,
  place: { readonly store: StoreKind; readonly databaseUrl: string | null },
  progress: (line: string) => void,
): Promise<StoreResult> {
  const simulators = await startServers();
  const gateway = new KilledGateway(serversOf(simulators), place.databaseUrl);
  try {
    return await killAgainAndAgain(gateway, flags, kills, place.store, progress);
  } finally {
    await gateway.remove();
    await Promise.all(simulators.map((simulator) => simulator.stop()));
  }
}

/** A local and a cloud server, slow enough for a moment to find answers on their way. */
export function startServers(): Promise<Simulator[]> {
  return Promise.all([
    startSimulator({
      kind: 'lm-studio',
      models: [{ id: 'sim-model' }],
      replyTokens: 20,
      tokensPerSecond: 400,
      slots: 12,
    }),
    startSimulator({ kind: 'openrouter', models: [{ id: 'sim-model' }], replyTokens: 24, tokensPerSecond: 300 }),
  ]);
}

export function serversOf([studio, router]: readonly Simulator[]) {
  return [
    { name: 'studio', kind: 'lm-studio', place: 'local', url: studio?.baseUrl ?? '' },
    { name: 'router', kind: 'openrouter', place: 'cloud', url: router?.baseUrl ?? '', api_key: 'crash-key-0123' },
  ] as const;
}

async function killAgainAndAgain(
  gateway: KilledGateway,
  flags: Flags,
  kills: number,
  store: StoreKind,
  progress: (line: string) => void,
): Promise<StoreResult> {
  const random = randomOf(flags.seed);
  await gateway.start();
  const steady = [await makeKey(gateway, { name: 'free' }), await makeKey(gateway, { name: 'counted', limits: MANY })];
  const limited: MadeKey[] = [];
  const seen: SeenAnswer[] = [];
  const findings: Finding[] = [];
  const broken: string[] = [];
  let before: ReadonlyMap<string, LedgerRow> = new Map();
  let [requests, refused, cut, slowestReadyMs, slowestOrphansMs, rows] = [0, 0, 0, 0, 0, [] as readonly LedgerRow[]];
  for (let kill = 1; kill <= kills; kill++) {
    limited.push(await makeKey(gateway, { name: `limited-${kill}`, budget: BUDGET }));
    // With the budget that the last kill met half spent.
    const keys = [...steady, ...limited.slice(-2)].map(({ key }) => key);
    const clients = new Clients({ url: gateway.url, keys, clients: flags.clients }, kill);
    await Bun.sleep(LEAST_LOAD_MS + random() * (MOST_LOAD_MS - LEAST_LOAD_MS));
    await gateway.kill();
    await clients.stop();
    requests += clients.sent;
    refused += clients.refused;
    cut += clients.cut;
    if (store === 'sqlite') broken.push(...gateway.corruption().map((text) => `kill ${kill}: damaged: ${text}`));
    seen.push(...clients.seen);
    slowestReadyMs = Math.max(slowestReadyMs, await gateway.start());
    const orphans = await orphansEnd(gateway);
    slowestOrphansMs = Math.max(slowestOrphansMs, orphans.tookMs);
    rows = orphans.rows;
    findings.push(...judge(rows, seen, before).map(({ kind, text }) => ({ kind, text: `kill ${kill}: ${text}` })));
    before = endedRows(rows);
    broken.push(...(await brokenInvariants(gateway)).map((text) => `kill ${kill}: ${text}`));
    progress(`${store}: kill ${kill} of ${kills}, ${seen.length} answers, ${findings.length + broken.length} findings`);
  }
  return {
    ...{ store, kills, requests, answers: seen.length, refused, cut, rows: rows.length },
    ...{ states: statesOf(rows), slowestReadyMs, slowestOrphansMs },
    ...{ overspentUsd: await overspent(gateway, limited), findings, broken },
  };
}

interface MadeKey {
  readonly id: string;
  readonly key: string;
}

const BUDGET = { limit_usd: BUDGET_USD, window: 'total', hard: true };
/** Counted, and never reached. */
const MANY = { rpm: 1_000_000 };

async function makeKey(gateway: KilledGateway, body: object): Promise<MadeKey> {
  return (await gateway.admin('POST', '/admin/keys', body)) as MadeKey;
}

export async function orphansEnd(
  gateway: KilledGateway,
): Promise<{ readonly tookMs: number; readonly rows: readonly LedgerRow[] }> {
  const startedAtMs = performance.now();
  for (;;) {
    const rows = (await gateway.lines('/admin/usage/export?format=json')).map((line) => JSON.parse(line) as LedgerRow);
    const tookMs = performance.now() - startedAtMs;
    if (tookMs > ORPHANS_WITHIN_MS || rows.every(({ state }) => state !== 'reserved')) return { tookMs, rows };
    await Bun.sleep(50);
  }
}

export async function brokenInvariants(gateway: KilledGateway): Promise<readonly string[]> {
  const verdict = (await gateway.admin('GET', '/admin/ledger/verify')) as {
    readonly ok: boolean;
    readonly waiting: number;
    readonly findings: readonly { readonly invariant: string; readonly message: string }[];
  };
  const waiting = verdict.waiting === 0 ? [] : [`${verdict.waiting} records were not looked at`];
  const found = verdict.findings.map(({ invariant, message }) => `${invariant}: ${message}`);
  return verdict.ok || found.length > 0 ? [...found, ...waiting] : ['not ok, without a finding', ...waiting];
}

/** USD that hard budgets let through beyond their limit; 0: none. */
async function overspent(gateway: KilledGateway, keys: readonly MadeKey[]): Promise<number> {
  let most = 0;
  for (const { id } of keys) {
    const { budgets = [] } = (await gateway.admin('GET', `/admin/keys/${id}`)) as {
      readonly budgets?: readonly {
        readonly hard: boolean;
        readonly limit_usd?: number;
        readonly spent_usd?: number;
      }[];
    };
    for (const { hard, limit_usd: limit = 0, spent_usd: spent = 0 } of budgets) {
      if (hard) most = Math.max(most, spent - limit);
    }
  }
  return most;
}

function statesOf(rows: readonly LedgerRow[]): Readonly<Record<string, number>> {
  const states: Record<string, number> = {};
  for (const { state } of rows) states[state] = (states[state] ?? 0) + 1;
  return states;
}

/** Mulberry32 (public domain): the same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
