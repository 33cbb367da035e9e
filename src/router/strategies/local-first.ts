import type { Candidate, RankedCandidate, Strategy } from './strategy.ts';

/**
 * Every request tries the local targets first: the least loaded one with a free slot, LM Studio at equal load.
 * Then the cloud, round robin. Only then it waits for a local slot, or has a model loaded that nobody asked for.
 */
export const localFirst: Strategy = {
  name: 'local-first',
  rank(candidates) {
    const { ready, cloud, lastResort, full } = sorted(candidates);
    const ranked: RankedCandidate[] = [];
    for (const candidate of ready) ranked.push({ candidate, waits: false, why: slotWords(candidate) });
    if (cloud.length > 0) {
      const why = overflowWords(ready.length, full.length, lastResort.length);
      for (const candidate of cloud) ranked.push({ candidate, waits: false, why });
    }
    for (const candidate of lastResort) ranked.push({ candidate, waits: false, why: 'last resort' });
    for (const candidate of full) ranked.push({ candidate, waits: true, why: 'waits for a local slot' });
    return ranked;
  },
};

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
  if (groups.ready.length > 1) groups.ready.sort(byLoad);
  if (groups.full.length > 1) groups.full.sort(byLoad);
  if (groups.cloud.length > 1) groups.cloud.sort(byLeastRecentUse);
  return groups;
}

function slotWords({ busy, slots }: Candidate): string {
  return `local, ${busy} of ${slots} slots busy`;
}

function overflowWords(ready: number, full: number, lastResort: number): string {
  if (ready > 0) return 'overflow after local';
  if (full > 0) return `overflow: all ${full > 1 ? 'local targets are' : 'local slots'} full`;
  return lastResort > 0 ? 'overflow: no local model is loaded' : 'overflow: no local target can serve it';
}

function byLoad(a: Candidate, b: Candidate): number {
  return (
    Number(a.silent) - Number(b.silent) ||
    // A model in memory answers now; one on disk costs seconds to minutes and may evict another.
    Number(b.match.loaded) - Number(a.match.loaded) ||
    a.busy / a.slots - b.busy / b.slots ||
    Number(b.entry.target.adapterKind === 'lm-studio') - Number(a.entry.target.adapterKind === 'lm-studio')
  );
}

function byLeastRecentUse(a: Candidate, b: Candidate): number {
  return Number(a.silent) - Number(b.silent) || a.entry.lastUsedSequence - b.entry.lastUsedSequence;
}
