import { scaledDecimal } from './decimal.ts';
import { isObject, type JsonObject } from './json-shape.ts';
import { nearestName } from './nearest-name.ts';
import { fullRates, type RateTier, TOKEN_CLASSES, type TokenClass, type TokenRates } from './price.ts';
import type { Problem, Reading } from './problem.ts';

/** What a rate is called where people write it. */
export const RATE_FIELDS: Readonly<Record<TokenClass, string>> = {
  input: 'input_usd_per_mtok',
  cachedInput: 'cached_input_usd_per_mtok',
  cacheWrite: 'cache_write_usd_per_mtok',
  audioInput: 'audio_input_usd_per_mtok',
  imageInput: 'image_input_usd_per_mtok',
  output: 'output_usd_per_mtok',
  reasoning: 'reasoning_usd_per_mtok',
  audioOutput: 'audio_output_usd_per_mtok',
  imageOutput: 'image_output_usd_per_mtok',
};

export const RATE_NAMES = Object.values(RATE_FIELDS);

/** One million dollars for a million tokens: whoever writes more has mistaken the unit. */
const MOST_USD = 1_000_000;
const USD = `a number of US dollars from 0 to ${MOST_USD.toLocaleString('en-US')}, at most 9 decimal places`;
const MOST_TIERS = 16;
const LONGEST_NAME = 512;
const LONGEST_SEEN = 80;
const CONTROL = /\p{Cc}/u;

/** How problems call the place of an item of a list, or of the list itself: null. */
export type PlaceOf = (index: number | null) => string;

/** Reads the fields of one entry and collects what is wrong with them; never throws. */
export class FieldReader {
  readonly #fields: JsonObject;
  readonly #where: string;
  /** `prices[0]`; empty: the fields stand alone. */
  readonly path: string;
  readonly #problems: Problem[];

  constructor(fields: JsonObject, where: string, path: string, problems: Problem[]) {
    this.#fields = fields;
    this.#where = where;
    this.path = path;
    this.#problems = problems;
  }

  has(name: string): boolean {
    return this.#value(name) !== null;
  }

  onlyKnows(names: readonly string[]): void {
    for (const name of Object.keys(this.#fields)) {
      if (names.includes(name)) continue;
      const near = nearestName(name, names);
      const fix = near === null ? 'remove it' : `did you mean ${near}`;
      this.report(name, 'there is no such field', names.join(', '), fix, null);
    }
  }

  /** Null: not given, or wrong. */
  name(field: string): string | null {
    const value = this.#value(field);
    if (value === null) return null;
    if (typeof value === 'string' && value.trim() !== '' && value.length <= LONGEST_NAME && !CONTROL.test(value)) {
      return value.trim();
    }
    this.report(field, 'it is no name', `text of 1 to ${LONGEST_NAME} characters`, 'correct it');
    return null;
  }

  requiredName(field: string): string {
    if (!this.has(field)) this.#missing(field);
    return this.name(field) ?? '';
  }

  /** USD times 10 to the power of `places`, which the field may have after its point; null: not given, or wrong. */
  usd(field: string, places: number): number | null {
    return this.decimal(field, { places, most: MOST_USD, allowed: USD });
  }

  decimal(field: string, { places, most, allowed }: { places: number; most: number; allowed: string }): number | null {
    const value = this.#value(field);
    if (value === null) return null;
    const scaled = scaledDecimal(value, places);
    if (scaled?.exact === true && scaled.value <= most * 10 ** places) return scaled.value;
    this.report(field, 'it is no such number', allowed, 'correct it');
    return null;
  }

  rates(): TokenRates {
    const given: Partial<Record<TokenClass, number>> = {};
    for (const name of TOKEN_CLASSES) {
      const value = this.usd(RATE_FIELDS[name], 9);
      if (value !== null) given[name] = value;
    }
    for (const name of ['input', 'output'] as const) {
      if (!this.has(RATE_FIELDS[name])) this.#missing(RATE_FIELDS[name]);
    }
    return fullRates({ ...given, input: given.input ?? 0, output: given.output ?? 0 });
  }

  /** `tiers`: rates of their own above a length of the prompt. */
  tiers(): readonly RateTier[] {
    const list = this.#value('tiers');
    if (list === null) return [];
    if (!Array.isArray(list) || list.length > MOST_TIERS) {
      this.report('tiers', 'it is no such list', `a list of at most ${MOST_TIERS} tiers`, 'correct it');
      return [];
    }
    const tiers = list.map((item, index) => this.#tier(item, this.#nameOf(`tiers[${index}]`)));
    if (tiers.some(({ aboveTokens }, index) => aboveTokens <= (tiers[index - 1]?.aboveTokens ?? -1))) {
      this.report('tiers', 'above_prompt_tokens does not rise from tier to tier', null, 'put the shortest first', null);
    }
    return tiers;
  }

  report(field: string, message: string, allowed: string | null, fix: string, seen = this.#seen(field)): void {
    this.#problems.push({ where: this.#where, name: this.#nameOf(field), seen, message, allowed, fix });
  }

  #nameOf(field: string): string {
    return this.path === '' ? field : `${this.path}.${field}`;
  }

  #tier(item: unknown, path: string): RateTier {
    const reader = new FieldReader(isObject(item) ? item : {}, this.#where, path, this.#problems);
    reader.onlyKnows(['above_prompt_tokens', ...RATE_NAMES]);
    const field = 'above_prompt_tokens';
    if (!reader.has(field)) reader.#missing(field);
    const most = { places: 0, most: 1_000_000_000, allowed: 'a whole number of tokens from 0 to 1,000,000,000' };
    return { aboveTokens: reader.decimal(field, most) ?? 0, rates: reader.rates() };
  }

  #missing(field: string): void {
    this.report(field, 'it is missing', null, `add ${field}`, null);
  }

  /** YAML's empty value is none. */
  #value(field: string): unknown {
    return Object.hasOwn(this.#fields, field) ? (this.#fields[field] ?? null) : null;
  }

  #seen(field: string): string | null {
    return seenText(this.#value(field));
  }
}

/** The value as a problem shows it: on one line, not long. */
export function seenText(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  const text = typeof value === 'object' ? (Array.isArray(value) ? 'a list' : 'a mapping') : String(value);
  return text.length > LONGEST_SEEN ? `${text.slice(0, LONGEST_SEEN)}…` : text;
}

/** Each item of a list of mappings, or all that is wrong with any of them. */
export function readList<Item>(
  list: unknown,
  placeOf: PlaceOf,
  name: string,
  read: (item: FieldReader) => Item,
): Reading<readonly Item[]> {
  const problems: Problem[] = [];
  if (list === null || list === undefined) return { ok: true, value: [] };
  if (!Array.isArray(list)) {
    const problem = { message: 'it is not a list', allowed: 'a list of mappings', fix: 'write each as "- model: …"' };
    return { ok: false, problems: [{ where: placeOf(null), name, seen: seenText(list), ...problem }] };
  }
  const items = list.flatMap((item: unknown, index): Item[] => {
    const path = `${name}[${index}]`;
    const where = placeOf(index);
    if (isObject(item)) return [read(new FieldReader(item, where, path, problems))];
    const problem = { message: 'it is not a mapping', allowed: null, fix: 'write its fields as "name: value"' };
    problems.push({ where, name: path, seen: seenText(item), ...problem });
    return [];
  });
  return problems.length === 0 ? { ok: true, value: items } : { ok: false, problems };
}
