const ANY_ORIGIN = 'http://here.invalid';

/**
 * Where a browser may be sent after its login, as it will read it: a path of this gateway. Null: it leads, or could be
 * read to lead, elsewhere.
 */
export function returnPath(text: string): string | null {
  // Browsers drop tabs and line breaks, and take a backslash for a slash.
  if (!text.startsWith('/') || /[\\\p{Cc}]/u.test(text)) return null;
  let url: URL;
  try {
    url = new URL(text, ANY_ORIGIN);
  } catch {
    return null;
  }
  const path = `${url.pathname}${url.search}${url.hash}`;
  // Also what only becomes so once its dots are gone.
  return url.origin === ANY_ORIGIN && !path.startsWith('//') ? path : null;
}
