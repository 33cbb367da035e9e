/**
 * The members of an object that mean something, and those of what is in them. Servers differ: some match names without
 * regard to case, and in which of two members counts.
 */
export class MemberNames {
  /** Null: what is in it is anybody's. */
  readonly #inner: ReadonlyMap<string, MemberNames | null>;
  readonly #mostLetters: number;

  /** @param inner what stands in some of them, as an object or a list of such */
  constructor(names: Iterable<string>, inner: Readonly<Record<string, MemberNames>> = {}) {
    this.#inner = new Map<string, MemberNames | null>([
      ...[...names].map((name) => [name, null] as const),
      ...Object.entries(inner),
    ]);
    this.#mostLetters = Math.max(0, ...[...this.#inner.keys()].map(({ length }) => length));
  }

  /** Those of what is in it; null: of none there, undefined: it means nothing here. */
  of(name: string): MemberNames | null | undefined {
    return this.#inner.get(name);
  }

  /** The member that some servers take this one for, and others do not; null: none. */
  inOtherLetters(name: string): string | null {
    if (name.length > this.#mostLetters || this.#inner.has(name)) return null;
    const folded = foldedName(name);
    return this.#inner.has(folded) ? folded : null;
  }
}

/**
 * As those compare names that do so without regard to case. Go does, the last one counts, and the long s (U+017F) and
 * the Kelvin sign are letters to it.
 */
function foldedName(name: string): string {
  return name.toLowerCase().replaceAll('\u017f', 's').replaceAll('\u0131', 'i').replaceAll('i\u0307', 'i');
}
