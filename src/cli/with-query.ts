/** What is undefined is left out. The gateway judges the values, and says what is wrong with one. */
export function withQuery(path: string, flags: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(flags).filter((flag): flag is [string, string] => flag[1] !== undefined);
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}
