/** Longest wait that is believed; a server asking for more is asked again after this. */
const MAX_WAIT_MS = 5 * 60_000;

/**
 * How long the server asked us to wait, 0 to 300,000 ms; null: it did not say, or not in a way that makes sense.
 * The most exact header wins: `retry-after-ms`, `retry-after` (seconds or an HTTP date), then
 * `x-ratelimit-reset-requests` and `-tokens` (OpenAI, Azure, Groq: durations such as `174ms`, `1s` or `6m0s`), then
 * `x-ratelimit-reset` and `ratelimit-reset` (OpenRouter: a time in milliseconds since the epoch; others: in seconds, or
 * seconds from now).
 */
export function retryAfterMs(headers: Headers, wallMs: number): number | null {
  return (
    clamp(numberOf(headers.get('retry-after-ms'))) ??
    clamp(secondsOrDate(headers.get('retry-after'), wallMs)) ??
    clamp(limitReset(headers)) ??
    clamp(resetTime(headers.get('x-ratelimit-reset') ?? headers.get('ratelimit-reset'), wallMs))
  );
}

function clamp(waitMs: number | null): number | null {
  if (waitMs === null || !Number.isFinite(waitMs) || waitMs < 0) return null;
  return Math.min(Math.ceil(waitMs), MAX_WAIT_MS);
}

function numberOf(text: string | null): number | null {
  if (text === null || !/^\s*\d+(\.\d+)?(e\d+)?\s*$/i.test(text)) return null;
  return Number(text);
}

function secondsOrDate(text: string | null, wallMs: number): number | null {
  const seconds = numberOf(text);
  if (seconds !== null) return seconds * 1000;
  // Date.parse would take "-1" or "" + junk for a year: an HTTP date begins with a weekday's name.
  if (text === null || !/^\s*[A-Za-z]{3,9},? /.test(text)) return null;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - wallMs);
}

/**
 * Requests and tokens have a limit each. What is used up decides, and of two the later; where nobody says what is
 * left, the sooner: a limit that was not hit resets too.
 */
function limitReset(headers: Headers): number | null {
  const resets = ['requests', 'tokens'].map((what) => ({
    waitMs: durationMs(headers.get(`x-ratelimit-reset-${what}`)),
    isSpent: numberOf(headers.get(`x-ratelimit-remaining-${what}`)) === 0,
  }));
  const known = resets.filter((reset): reset is { waitMs: number; isSpent: boolean } => reset.waitMs !== null);
  const spent = known.filter(({ isSpent }) => isSpent);
  if (spent.length > 0) return Math.max(...spent.map(({ waitMs }) => waitMs));
  return known.length === 0 ? null : Math.min(...known.map(({ waitMs }) => waitMs));
}

/** Numbers above these are times, not waits: 31 years in seconds, and 1973 in milliseconds. */
const EPOCH_SECONDS_FROM = 1e9;
const EPOCH_MS_FROM = 1e11;

function resetTime(text: string | null, wallMs: number): number | null {
  const value = numberOf(text);
  if (value === null || value < EPOCH_SECONDS_FROM) return value === null ? null : value * 1000;
  return Math.max(0, (value >= EPOCH_MS_FROM ? value : value * 1000) - wallMs);
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `6m0s`, `174ms`, `1.5s`, or bare seconds. */
function durationMs(text: string | null): number | null {
  if (text === null) return null;
  const bare = numberOf(text);
  if (bare !== null) return bare * 1000;
  const trimmed = text.trim();
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(trimmed)) return null;
  let sum = 0;
  for (const [, amount, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    sum += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0);
  }
  return sum;
}
