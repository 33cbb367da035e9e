import type { NamePattern } from './catalogue-format.ts';

type Test = (name: string) => boolean;

/** Finds what a name belongs to: the first of the list that one of its patterns fits. Names in lower case. */
export class NameIndex<Item> {
  readonly #items: readonly Item[];
  /** Whole name → place in the list; most patterns are whole names. */
  readonly #whole = new Map<string, number>();
  readonly #tests: { readonly place: number; readonly fits: Test }[] = [];

  constructor(items: readonly Item[], patternsOf: (item: Item) => readonly NamePattern[]) {
    this.#items = items;
    for (const [place, item] of items.entries()) {
      for (const pattern of patternsOf(item)) this.#add(place, pattern);
    }
  }

  find(name: string): Item | null {
    let first = this.#whole.get(name) ?? this.#items.length;
    for (const { place, fits } of this.#tests) {
      if (place >= first) break;
      if (fits(name)) first = place;
    }
    return this.#items[first] ?? null;
  }

  #add(place: number, pattern: NamePattern): void {
    if (typeof pattern !== 'string' || !pattern.startsWith('=')) {
      this.#tests.push({ place, fits: testOf(pattern) });
      return;
    }
    const name = pattern.slice(1);
    if (!this.#whole.has(name)) this.#whole.set(name, place);
  }
}

function testOf(pattern: NamePattern): Test {
  if (typeof pattern === 'string') return simpleTestOf(pattern);
  const tests = pattern.map(simpleTestOf);
  return (name) => tests.every((fits) => fits(name));
}

function simpleTestOf(pattern: string): Test {
  const wanted = pattern.slice(1);
  const expression = pattern.startsWith('/') ? new RegExp(wanted, 'i') : null;
  if (expression !== null) return (name) => expression.test(name);
  switch (pattern[0]) {
    case '=':
      return (name) => name === wanted;
    case '^':
      return (name) => name.startsWith(wanted);
    case '$':
      return (name) => name.endsWith(wanted);
    case '~':
      return (name) => name.includes(wanted);
    default:
      throw new Error(`the price catalogue has a pattern of no known form: ${pattern}`);
  }
}
