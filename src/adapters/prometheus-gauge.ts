/** No server has more requests, and no page with more lines is read to its end. */
const MOST_REQUESTS = 1_000_000;

/**
 * The sum over all labels of the first of these gauges that a Prometheus text page has (exposition format 0.0.4); null:
 * it has none of them, or its values make no sense.
 */
export function gaugeOf(page: string, names: readonly string[]): number | null {
  for (const name of names) {
    const value = sumOf(page, name);
    if (value !== null) return value;
  }
  return null;
}

/** The same for a count of requests. */
export function requestsOf(page: string, names: readonly string[]): number | null {
  const value = gaugeOf(page, names);
  return value === null || value > MOST_REQUESTS ? null : Math.round(value);
}

/** The same for a share: the largest of several engines would hide that the others are free, so it is their mean. */
export function shareOf(page: string, names: readonly string[]): number | null {
  for (const name of names) {
    const values = valuesOf(page, name);
    if (values.length === 0) continue;
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return mean >= 0 && mean <= 1 ? mean : null;
  }
  return null;
}

function sumOf(page: string, name: string): number | null {
  const values = valuesOf(page, name);
  const sum = values.reduce((total, value) => total + value, 0);
  return values.length === 0 || !Number.isFinite(sum) || sum < 0 ? null : sum;
}

function valuesOf(page: string, name: string): number[] {
  const values: number[] = [];
  for (let at = page.indexOf(name); at !== -1; at = page.indexOf(name, at + name.length)) {
    if (at > 0 && page[at - 1] !== '\n') continue;
    const lineEnd = page.indexOf('\n', at);
    const rest = page.slice(at + name.length, lineEnd === -1 ? page.length : lineEnd);
    // `name 1`, `name{label="a b"} 1 1395066363000`; another gauge's name may begin with this one.
    const match = /^(?:\{.*\})?[ \t]+(\S+)/.exec(rest);
    if (match !== null) values.push(Number(match[1]));
  }
  return values;
}
