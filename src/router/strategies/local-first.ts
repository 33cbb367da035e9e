import { sortByCost } from './by-cost.ts';
import type { Candidate, FirstTokenLimit, RankedCandidate, Strategy } from './strategy.ts';

/**
 * Every request tries the local targets first: those with a free slot, the cheapest in seconds before the others. Then
 * the cloud, round robin. Only then it waits for a local slot, or has a model loaded that nobody asked for. With a limit
 * for the first token, local targets that keep it come first, be it after a wait, and those that do not after the cloud.
 */
export const localFirst: Strategy = {
  name: 'local-first',
  rank(candidates, limits) {
    const { ready, cloud, lastResort, full } = sorted(candidates);
    return limits.firstToken === null || cloud.length === 0
      ? inUsualOrder(ready, cloud, lastResort, full)
      : withinLimit({ ready, cloud, lastResort, full }, limits.firstToken);
  },
};

function inUsualOrder(
  ready: readonly Candidate[],
  cloud: readonly Candidate[],
  lastResort: readonly Candidate[],
  full: readonly Candidate[],
): RankedCandidate[] {
  const ranked = ready.length > 0 ? freeOrSoon(ready, full) : [];
  const planned = new Set(full.length > 0 ? ranked.map(({ candidate }) => candidate) : []);
  if (cloud.length > 0) {
    const why = overflowWords(ready.length, full.length, lastResort.length);
    for (const candidate of cloud) ranked.push(step(candidate, why));
  }
  for (const candidate of lastResort) ranked.push(step(candidate, 'last resort'));
  for (const candidate of full) {
    if (!planned.has(candidate)) ranked.push(waiting(candidate, 'waits for a local slot', null));
  }
  return ranked;
}

/** A wait must save this share of the first token's time, for its length is the least certain of all. */
const WORTH_WAITING = 0.1;

/**
 * Those with a free slot, and before them those whose slot is expected to be free so soon that the answer still begins
 * earlier there: a free slot behind a long prompt is worth less than a short wait.
 */
function freeOrSoon(ready: readonly Candidate[], full: readonly Candidate[]): RankedCandidate[] {
  const free = ready.map((candidate) => step(candidate, slotWords(candidate)));
  if (full.length === 0) return free;
  const best = (ready[0] as Candidate).cost;
  const soon = full.filter(
    ({ silent, cost }) =>
      !silent && cost.seconds < best.seconds && cost.firstTokenSeconds < (1 - WORTH_WAITING) * best.firstTokenSeconds,
  );
  const waits = soon.map((candidate) => {
    const { cost } = candidate;
    const atMost = best.firstTokenSeconds - (cost.firstTokenSeconds - cost.terms.wait);
    return waiting(candidate, `waits about ${about(cost.terms.wait)} s for a local slot`, atMost);
  });
  return [...waits, ...free];
}

function withinLimit({ ready, cloud, lastResort, full }: Sorted, firstToken: FirstTokenLimit): RankedCandidate[] {
  const limit = firstToken.nowSeconds;
  const inTime = (candidate: Candidate): boolean => candidate.cost.firstTokenSeconds <= limit;
  const first = sortByCost([...ready, ...full, ...lastResort].filter(inTime));
  const ranked = first.map((candidate) => {
    const { cost, busy, slots } = candidate;
    if (busy < slots) return step(candidate, slotWords(candidate));
    const words = `waits for a local slot, ${about(cost.terms.wait)} s of at most ${limitWords(firstToken)}`;
    return waiting(candidate, words, limit - (cost.firstTokenSeconds - cost.terms.wait));
  });
  const late = (group: readonly Candidate[]): Candidate[] => group.filter((candidate) => !inTime(candidate));
  const why = first.length > 0 ? 'overflow after local' : tooLateWords([...ready, ...full, ...lastResort], firstToken);
  for (const candidate of cloud) ranked.push(step(candidate, why));
  return [...ranked, ...inUsualOrder(late(ready), [], late(lastResort), late(full))];
}

interface Sorted {
  readonly ready: Candidate[];
  readonly cloud: Candidate[];
  readonly lastResort: Candidate[];
  readonly full: Candidate[];
}

function sorted(candidates: readonly Candidate[]): Sorted {
  const groups: Sorted = { ready: [], cloud: [], lastResort: [], full: [] };
  for (const candidate of candidates) {
    if (candidate.entry.target.place === 'cloud') groups.cloud.push(candidate);
    else if (candidate.busy >= candidate.slots) groups.full.push(candidate);
    else if (candidate.lastResort) groups.lastResort.push(candidate);
    else groups.ready.push(candidate);
  }
  sortByCost(groups.ready);
  sortByCost(groups.full);
  if (groups.cloud.length > 1) groups.cloud.sort(byLeastRecentUse);
  return groups;
}

function step(candidate: Candidate, why: string): RankedCandidate {
  return { candidate, waits: false, waitAtMostSeconds: null, why };
}

function waiting(candidate: Candidate, why: string, waitAtMostSeconds: number | null): RankedCandidate {
  return { candidate, waits: true, waitAtMostSeconds, why };
}

function slotWords({ busy, slots }: Candidate): string {
  return `local, ${busy} of ${slots} slots busy`;
}

function overflowWords(ready: number, full: number, lastResort: number): string {
  if (ready > 0) return 'overflow after local';
  if (full > 0) return `overflow: all ${full > 1 ? 'local targets are' : 'local slots'} full`;
  return lastResort > 0 ? 'overflow: no local model is loaded' : 'overflow: no local target can serve it';
}

function tooLateWords(local: readonly Candidate[], limit: FirstTokenLimit): string {
  if (local.length === 0) return 'overflow: no local target can serve it';
  const soonest = Math.min(...local.map(({ cost }) => cost.firstTokenSeconds));
  return `overflow: local first token in about ${about(soonest)} s, limit ${limitWords(limit)}`;
}

function limitWords({ setSeconds, nowSeconds }: FirstTokenLimit): string {
  const words = `${about(setSeconds)} s`;
  return nowSeconds < setSeconds ? `${words} (${about(nowSeconds)} s now)` : words;
}

function about(seconds: number): string {
  return seconds < 10 ? String(Number(seconds.toPrecision(2))) : String(Math.round(seconds));
}

function byLeastRecentUse(a: Candidate, b: Candidate): number {
  return Number(a.silent) - Number(b.silent) || a.entry.lastUsedSequence - b.entry.lastUsedSequence;
}
