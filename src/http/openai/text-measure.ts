/**
 * What can be relied on of a text's length in tokens, whatever the usual tokenizer. Each look stops as soon as it knows, and after
 * so many characters: a body may have 30 MB.
 */
const MOST_SEEN = 4_000_000;
/** Scripts without spaces between words, from CJK radicals to compatibility forms. On average a token has one or two. */
const IDEOGRAPHS = { first: 0x2e80, last: 0xfaff };
/** Not even in set phrases, which large vocabularies (o200k) have whole. */
const IDEOGRAPHS_A_TOKEN = 8;

/**
 * Words, each at least one token: tokenizers split text at white space first (byte-pair encoding since GPT-2;
 * SentencePiece's default). Counts no further than `atMost`. Of a text that is too long to look through: 0.
 */
export function countWords(texts: readonly string[], atMost: number): number {
  let words = 0;
  let ideographs = 0;
  let seen = 0;
  for (const text of texts) {
    let inWord = false;
    for (let at = 0; at < text.length; at++) {
      if (++seen > MOST_SEEN) return 0;
      const code = text.charCodeAt(at);
      const space = isSpace(code);
      if (!space && code >= IDEOGRAPHS.first && code <= IDEOGRAPHS.last) ideographs++;
      if (!space && !inWord) words++;
      inWord = !space;
      if (words + ideographs / IDEOGRAPHS_A_TOKEN >= atMost) return atMost;
    }
  }
  return words + ideographs / IDEOGRAPHS_A_TOKEN;
}

/**
 * The share of the characters that are not like their neighbour before, 0 to 1: tokenizers make one token of many
 * spaces, dashes or the like. Of a very long text, that of its beginning.
 */
export function changingShare(texts: readonly string[]): number {
  let changes = 0;
  let seen = 0;
  for (const text of texts) {
    const end = Math.min(text.length, MOST_SEEN - seen);
    let before = -1;
    for (let at = 0; at < end; at++) {
      const code = text.charCodeAt(at);
      if (code !== before) changes++;
      before = code;
    }
    seen += end;
  }
  return seen === 0 ? 1 : changes / seen;
}

/** As ASCII has it, and the wide space of CJK: others may be part of a token. */
function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d) || code === 0x3000;
}
