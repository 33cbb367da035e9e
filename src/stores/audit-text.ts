import { createHmac } from 'node:crypto';
import { Secret } from '../core/secret.ts';

/** Longer JSON is kept as its length and beginning: an entry is a note, not an archive. */
const MOST_JSON_CHARACTERS = 16_384;
const MOST_NAME_CHARACTERS = 512;
const SHOWN_OF_LONG = 1_024;
const FINGERPRINT_DIGITS = 12;

/** The same for the same secret, of no use to find it. */
export type Fingerprint = (secret: Secret) => string;

/** @param key without it nobody can try guesses against a fingerprint */
export function fingerprinter(key: string): Fingerprint {
  return (secret) => {
    const digest = createHmac('sha256', key).update(secret.reveal()).digest('hex');
    return `fingerprint:${digest.slice(0, FINGERPRINT_DIGITS)}`;
  };
}

/** As text for the log, secrets as fingerprints; null for nothing. */
export function auditJson(value: unknown, fingerprint: Fingerprint): string | null {
  if (value === undefined || value === null) return null;
  // By its own object: a replacer sees only what toJSON made of a secret.
  const text = JSON.stringify(withFingerprints(value, fingerprint)) ?? 'null';
  if (text.length <= MOST_JSON_CHARACTERS) return text;
  return JSON.stringify({ too_long: text.length, begins: text.slice(0, SHOWN_OF_LONG).toWellFormed() });
}

function withFingerprints(value: unknown, fingerprint: Fingerprint): unknown {
  if (value instanceof Secret) return fingerprint(value);
  if (value instanceof Map) return withFingerprints(Object.fromEntries(value), fingerprint);
  if (Array.isArray(value)) return value.map((item) => withFingerprints(item, fingerprint));
  if (typeof value !== 'object' || value === null) return value;
  if ('toJSON' in value && typeof value.toJSON === 'function') return value.toJSON();
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, withFingerprints(part, fingerprint)] as const),
  );
}

/** A name as both databases give it back unchanged: no NUL, no half characters, not without end. */
export function auditName(text: string): string {
  return text.replaceAll('\0', '').slice(0, MOST_NAME_CHARACTERS).toWellFormed();
}
