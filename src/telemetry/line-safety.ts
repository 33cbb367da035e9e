/**
 * Characters that JSON leaves alone and that a terminal or a log reader may act upon: DEL and the C1 controls
 * (an eight-bit CSI is one of them), the Unicode line separators, and the marks that reverse the reading direction.
 */
const UNSAFE_IN_JSON = /[\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
const UNSAFE_IN_TEXT = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** One JSON line: everything dangerous becomes a JSON escape, so it still parses to the same value. */
export function safeJsonLine(line: string): string {
  // Nearly every line is ASCII without DEL, and both checks are a fraction of the regular expression's cost.
  if (Buffer.byteLength(line) === line.length && !line.includes('\u007f')) return line;
  return line.replace(UNSAFE_IN_JSON, escaped);
}

/** Text for one line of a terminal: no control character survives. */
export function safeText(text: string): string {
  return text.replace(UNSAFE_IN_TEXT, escaped);
}
