import type { Target } from './target.ts';

/** Equal for targets that are configured alike, their keys included. Holds the key: never shown, never stored. */
export function targetFingerprint(target: Target): string {
  const { apiKey, deployments, ...rest } = target;
  return JSON.stringify([Object.entries(rest).sort(byName), apiKey?.reveal() ?? null, [...deployments].sort(byName)]);
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
