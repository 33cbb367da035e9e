import type { Candidate, RankedCandidate, Strategy } from './strategy.ts';

/**
 * Every request tries the local targets first: the least loaded one with a free slot, LM Studio at equal load.
 * Then the cloud, round robin. Only then it waits for a local slot, or has a model loaded that nobody asked for.
 */
export const localFirst: Strategy = {
  name: 'local-first',
  rank(candidates) {
    const local = candidates.filter((candidate) => candidate.entry.target.place === 'local');
    const cloud = candidates.filter((candidate) => candidate.entry.target.place === 'cloud').sort(byLeastRecentUse);
    const free = local.filter((candidate) => candidate.busy < candidate.slots);
    const full = local.filter((candidate) => candidate.busy >= candidate.slots);
    const ready = free.filter((candidate) => !candidate.lastResort).sort(byLoad);
    const overflow = overflowReason(local, ready, full);
    return [
      ...ready.map((candidate) => ranked(candidate, false, slotWords(candidate))),
      ...cloud.map((candidate) => ranked(candidate, false, ready.length > 0 ? 'overflow after local' : overflow)),
      ...free.filter((candidate) => candidate.lastResort).map((candidate) => ranked(candidate, false, 'last resort')),
      ...full.sort(byLoad).map((candidate) => ranked(candidate, true, 'waits for a local slot')),
    ];
  },
};

function ranked(candidate: Candidate, waits: boolean, why: string): RankedCandidate {
  return { candidate, waits, why };
}

function slotWords({ busy, slots }: Candidate): string {
  return `local, ${busy} of ${slots} slots busy`;
}

function overflowReason(local: readonly Candidate[], ready: readonly Candidate[], full: readonly Candidate[]): string {
  if (ready.length === 0 && full.length > 0)
    return `overflow: all ${full.length > 1 ? 'local targets are' : 'local slots'} full`;
  return local.length === 0 ? 'overflow: no local target can serve it' : 'overflow';
}

function byLoad(a: Candidate, b: Candidate): number {
  return (
    // A model in memory answers now; one on disk costs seconds to minutes and may evict another.
    Number(b.match.loaded) - Number(a.match.loaded) ||
    a.busy / a.slots - b.busy / b.slots ||
    Number(b.entry.target.adapterKind === 'lm-studio') - Number(a.entry.target.adapterKind === 'lm-studio')
  );
}

function byLeastRecentUse(a: Candidate, b: Candidate): number {
  return a.entry.lastUsedSequence - b.entry.lastUsedSequence;
}
