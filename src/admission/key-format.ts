/** What every client key begins with. `live` leaves room for keys that open a test environment only. */
export const KEY_START = 'wgl_live_';
/** What every service token of the admin API begins with: nobody takes one for a client key. */
export const TOKEN_START = 'wgl_admin_';
/**
 * 214 bits. Lists show four characters at the beginning and, with the checksum's last four, give away as many again:
 * 166 bits stay secret.
 */
const RANDOM_LENGTH = 36;
/** The least that holds 32 bits in base 62. */
const CHECKSUM_LENGTH = 6;
const SHOWN_DIGITS = 4;
const SHOWN_END = 4;

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** Bytes from here on would make the first digits likelier than the others. */
const FAIR_BYTES = 256 - (256 % DIGITS.length);
const KEY_DIGITS = /^[0-9A-Za-z]+$/;

/** Fills the array with bytes that nobody can foretell. */
export type FillRandom = (bytes: Uint8Array) => void;

const systemRandom: FillRandom = (bytes) => {
  crypto.getRandomValues(bytes);
};

/** A new client key: `wgl_live_`, 36 random characters, and a checksum of both that secret scanners can check too. */
export function generateKey(fillRandom: FillRandom = systemRandom, start: string = KEY_START): string {
  let text = start;
  const bytes = new Uint8Array(RANDOM_LENGTH * 2);
  while (text.length < start.length + RANDOM_LENGTH) {
    fillRandom(bytes);
    for (const byte of bytes) {
      if (byte < FAIR_BYTES && text.length < start.length + RANDOM_LENGTH) text += DIGITS[byte % DIGITS.length];
    }
  }
  return text + checksum(text);
}

/**
 * What is wrong with a key's text, a clause that names none of it; null: it may be a key. Needs nothing but the text,
 * so that what cannot be a key is refused before anything is looked up.
 */
export function keyFault(text: string, start: string = KEY_START): string | null {
  if (!text.startsWith(start)) return `it does not begin with "${start}"`;
  const length = start.length + RANDOM_LENGTH + CHECKSUM_LENGTH;
  if (text.length !== length) return `it has ${text.length} characters in place of ${length}`;
  if (!KEY_DIGITS.test(text.slice(start.length))) return 'it has characters that are no letters and no digits';
  if (!hasItsChecksum(text)) return 'its checksum does not fit: it was mistyped or cut';
  return null;
}

/** The parts of a key's text that lists may show. */
export function shownParts(
  text: string,
  start: string = KEY_START,
): { readonly prefix: string; readonly lastFour: string } {
  return { prefix: text.slice(0, start.length + SHOWN_DIGITS), lastFour: text.slice(-SHOWN_END) };
}

/** As `checksum` says, without a text for it: this is asked for every request. */
function hasItsChecksum(text: string): boolean {
  const bodyLength = text.length - CHECKSUM_LENGTH;
  let rest = Bun.hash.crc32(text.slice(0, bodyLength));
  for (let place = text.length - 1; place >= bodyLength; place--) {
    if (text.charCodeAt(place) !== DIGITS.charCodeAt(rest % DIGITS.length)) return false;
    rest = Math.floor(rest / DIGITS.length);
  }
  return true;
}

/** CRC-32, as zlib's, in base 62, the highest digit first. */
function checksum(body: string): string {
  let rest = Bun.hash.crc32(body);
  let digits = '';
  for (let place = 0; place < CHECKSUM_LENGTH; place++) {
    digits = DIGITS.charAt(rest % DIGITS.length) + digits;
    rest = Math.floor(rest / DIGITS.length);
  }
  return digits;
}
