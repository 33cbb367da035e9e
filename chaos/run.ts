import { type InvoiceLine, linesOf } from './billing/invoice.ts';
import { askGateway } from './client.ts';
import { type RequestPlan, requestPlan } from './schedule.ts';
import type { ChaosServers } from './servers.ts';
import type { Tally } from './tally.ts';
import { CLOSED_WITHIN_MS, judge, type Observation } from './verdict.ts';

export interface Arena {
  /** Of what is tested: the gateway, or something that takes its place. */
  readonly url: string;
  readonly servers: ChaosServers;
  readonly seed: number;
  readonly hungAfterMs: number;
  /** After a client has left, its request may still be on its way to a server for so long. */
  readonly leavingMs: number;
  /** Gets what the servers bill. */
  readonly invoice: InvoiceLine[];
}

const LOOK_AGAIN_MS = 20;

/** Sends one request and resolves when its client has its reply; what follows judges it, once its upstream calls are closed. */
async function runOne(arena: Arena, number: number, tally: Tally): Promise<{ readonly judged: Promise<void> }> {
  const plan = requestPlan(arena.seed, number);
  const seen = await askGateway(arena.url, plan, arena.hungAfterMs);
  if (seen.end === 'reply' && !isOpen(arena, number)) {
    judgeOne(arena, plan, seen, tally);
    return { judged: Promise.resolve() };
  }
  return { judged: untilClosed(arena, number, seen).then(() => judgeOne(arena, plan, seen, tally)) };
}

function isOpen({ servers }: Arena, number: number): boolean {
  return servers.arrivals(number).some(({ call }) => call.endedAtMs === null);
}

async function untilClosed(arena: Arena, number: number, seen: Observation): Promise<void> {
  const leastMs = seen.end === 'reply' ? 0 : arena.leavingMs;
  for (;;) {
    const agoMs = performance.now() - seen.endedAtMs;
    if (agoMs >= leastMs + CLOSED_WITHIN_MS || (agoMs >= leastMs && !isOpen(arena, number))) return;
    await Bun.sleep(LOOK_AGAIN_MS);
  }
}

/** Joins what the client and the servers saw. */
function judgeOne(arena: Arena, plan: RequestPlan, seen: Observation, tally: Tally): void {
  const { servers } = arena;
  const { number } = plan;
  const arrivals = servers.arrivals(number);
  const expected = seen.target === null ? null : servers.expected(plan, seen.target);
  const evidence = { plan, expected, seen, arrivals, absences: servers.absences };
  const verdict = judge(evidence, servers.judged);
  tally.add(verdict, evidence);
  arena.invoice.push(...linesOf(number, arrivals, verdict.outcome === 'served' ? seen.target : null));
  servers.forget(number);
}

/**
 * `clients` at once, each with its next request as soon as (or `pauseMs` after) the last was answered, until `next`
 * gives none. Resolves when all are judged.
 */
export async function runMany(
  arena: Arena,
  tally: Tally,
  { clients, pauseMs = 0 }: { readonly clients: number; readonly pauseMs?: number },
  next: () => number | null,
): Promise<void> {
  const pending = new Set<Promise<void>>();
  const client = async (): Promise<void> => {
    for (let number = next(); number !== null; number = next()) {
      const { judged } = await runOne(arena, number, tally);
      pending.add(judged);
      judged.finally(() => pending.delete(judged));
      if (pauseMs > 0) await Bun.sleep(pauseMs);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  await Promise.all(pending);
}
