/** The known name most like the given one, or null when none is close enough to be a slip of the finger. */
export function nearestName(given: string, known: readonly string[]): string | null {
  const simplified = simplify(given.slice(0, 64));
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(simplified.length / 3)) + 1;
  for (const name of known) {
    const distance = editDistance(simplified, simplify(name));
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

/** `apiKey`, `api-key` and `API_KEY` are the same name spelled three ways. */
function simplify(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
}

/** Insertions, deletions and replacements that turn one text into the other. */
function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (from[row - 1] === to[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[to.length] ?? 0;
}
