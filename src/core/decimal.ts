/** A decimal number as an integer of a smaller unit. */
export interface ScaledDecimal {
  /** ≥ 0, safe integer. */
  readonly value: number;
  /** False: it had more places and was rounded, half up. */
  readonly exact: boolean;
}

/**
 * What somebody wrote, `0.0375`, `"2.5e-7"`, times 10 to the power of `places`, without floating point on the way; null
 * when it is no number, negative or too large for a safe integer.
 */
export function scaledDecimal(written: unknown, places: number): ScaledDecimal | null {
  const text = typeof written === 'number' ? String(written) : typeof written === 'string' ? written.trim() : '';
  const parts = text.length > MOST_CHARACTERS ? null : DECIMAL.exec(text);
  if (parts === null) return null;
  const [, whole = '', fraction = '', exponent = '0'] = parts;
  const shift = places - fraction.length + Number(exponent);
  if (Math.abs(shift) > MOST_SHIFT) return null;
  return shifted(BigInt(`${whole}${fraction}`), shift);
}

const DECIMAL = /^\+?(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/;
const MOST_CHARACTERS = 400;
/** Powers beyond what a double can say are nobody's price, and cost time to work out. */
const MOST_SHIFT = 400;

function shifted(digits: bigint, shift: number): ScaledDecimal | null {
  const power = 10n ** BigInt(Math.abs(shift));
  const value = shift >= 0 ? digits * power : (2n * digits + power) / (2n * power);
  const exact = shift >= 0 || digits % power === 0n;
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? { value: Number(value), exact } : null;
}
