import type { Candidate } from './strategy.ts';

/** Estimates this near to each other are alike. */
const ALIKE = 0.1;
/** So small a difference is never worth a thought, s. */
const LEAST_DIFFERENCE = 0.005;

/**
 * The cheapest first. Those within 10 % of it are alike: of them the one that holds this conversation, then the one that
 * holds the fewest, then the one used longest ago. A target that leaves its requests unanswered comes after its equals.
 */
export function sortByCost(candidates: Candidate[]): Candidate[] {
  if (candidates.length < 2) return candidates;
  candidates.sort((a, b) => Number(a.silent) - Number(b.silent) || a.cost.seconds - b.cost.seconds);
  const [best] = candidates as [Candidate];
  const limit = best.cost.seconds + Math.max(LEAST_DIFFERENCE, ALIKE * best.cost.firstTokenSeconds);
  const firstOther = candidates.findIndex(({ cost, silent }) => silent !== best.silent || cost.seconds > limit);
  const alike = candidates.splice(0, firstOther === -1 ? candidates.length : firstOther);
  alike.sort(amongAlike);
  candidates.unshift(...alike);
  return candidates;
}

function amongAlike(a: Candidate, b: Candidate): number {
  return (
    Number(b.match.loaded) - Number(a.match.loaded) ||
    Number(b.holdsConversation) - Number(a.holdsConversation) ||
    a.conversations - b.conversations ||
    a.entry.lastUsedSequence - b.entry.lastUsedSequence ||
    Number(b.entry.target.adapterKind === 'lm-studio') - Number(a.entry.target.adapterKind === 'lm-studio')
  );
}
