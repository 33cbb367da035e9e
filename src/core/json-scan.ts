/** The bytes of JSON that stand outside strings and are not values. */
export const QUOTE = 0x22;
export const OPEN_OBJECT = 0x7b;
export const CLOSE_OBJECT = 0x7d;
export const OPEN_ARRAY = 0x5b;
export const CLOSE_ARRAY = 0x5d;
export const COMMA = 0x2c;
export const COLON = 0x3a;
const BACKSLASH = 0x5c;

/** Index of the quote that closes the string opened at `open`; the end of the bytes when it is never closed. */
export function endOfString(bytes: Uint8Array, open: number): number {
  for (let close = bytes.indexOf(QUOTE, open + 1); close !== -1; close = bytes.indexOf(QUOTE, close + 1)) {
    let backslashes = 0;
    while (bytes[close - 1 - backslashes] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return close;
  }
  return bytes.length;
}

/** The text of a key between its quotes. Through Buffer because that needs no view of the range. */
export function keyOf(bytes: Uint8Array, open: number, close: number): string {
  const key: string = Buffer.prototype.toString.call(bytes, 'utf8', open + 1, close);
  return key.includes('\\') ? (JSON.parse(`"${key}"`) as string) : key;
}
