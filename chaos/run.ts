import { planChat } from '../simulators/generation/chat-plan.ts';
import { readChatRequest } from '../simulators/generation/chat-request.ts';
import { askGateway } from './client.ts';
import { type ChaosFleet, HUNG_AFTER_MS } from './fleet.ts';
import { type RequestPlan, requestPlan } from './schedule.ts';
import { type Arrival, judge, type Observation, type Verdict, VIOLATIONS, type Violation } from './verdict.ts';

export interface Finding {
  readonly number: number;
  readonly violations: readonly Violation[];
  readonly arrivals: readonly Arrival[];
  readonly seen: Observation;
}

/** Counts of a run while it goes on. */
export class Tally {
  readonly outcomes: Record<Verdict['outcome'], number> = { served: 0, cut: 0, failed: 0, aborted: 0 };
  readonly violations = Object.fromEntries(VIOLATIONS.map((violation) => [violation, 0])) as Record<Violation, number>;
  readonly findings: Finding[] = [];
  attempts = 0;
  failedOver = 0;

  get requests(): number {
    return Object.values(this.outcomes).reduce((sum, count) => sum + count, 0);
  }

  add({ outcome, violations }: Verdict, finding: Omit<Finding, 'violations'>): void {
    this.outcomes[outcome]++;
    this.attempts += finding.arrivals.length;
    if (outcome === 'served' && finding.arrivals.length > 1) this.failedOver++;
    for (const violation of violations) this.violations[violation]++;
    if (violations.length > 0 && this.findings.length < MOST_FINDINGS) this.findings.push({ ...finding, violations });
  }
}

const MOST_FINDINGS = 20;

/** Sends one request, joins what the client and the servers saw, and judges it. */
export async function runOne(fleet: ChaosFleet, seed: number, number: number, tally: Tally): Promise<void> {
  const plan = requestPlan(seed, number);
  const seen = await askGateway(fleet.gateway.url, plan, HUNG_AFTER_MS);
  const arrivals = fleet.takeArrivals(number);
  const verdict = judge(plan, expectedText(plan), seen, arrivals, fleet.absences, fleet.judged);
  tally.add(verdict, { number, arrivals, seen });
}

/** What any of the servers answers when nothing goes wrong. */
function expectedText(plan: RequestPlan): string {
  const choice = planChat(readChatRequest(plan.body), { replyTokens: REPLY_TOKENS, reply: null }).choices[0];
  return [...(choice?.content ?? []), ...(choice?.toolCall?.argumentPieces ?? [])].join('');
}

/** The simulators' default. */
const REPLY_TOKENS = 12;

/** `clients` at once, each with its next request as soon as (or `pauseMs` after) the last was answered, until `next` gives none. */
export async function runMany(
  fleet: ChaosFleet,
  seed: number,
  tally: Tally,
  clients: number,
  pauseMs: number,
  next: () => number | null,
): Promise<void> {
  const client = async (): Promise<void> => {
    for (let number = next(); number !== null; number = next()) {
      await runOne(fleet, seed, number, tally);
      if (pauseMs > 0) await Bun.sleep(pauseMs);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
}
