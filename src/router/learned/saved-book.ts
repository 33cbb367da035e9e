import { isObject, type JsonObject } from '../../core/json-shape.ts';
import type { Problem } from '../../core/problem.ts';
import { MOST_BESIDE, TOKEN_SECONDS } from './decode-speed.ts';
import type { SavedPage } from './speed-book.ts';

/** As many samples as a line looks at. */
const MOST_LENGTHS = 64;
const MOST_OUTPUTS = 128;
/** Of names and addresses, characters. */
const MOST_NAME = 4_096;
/** More than a book holds are not looked at. */
const MOST_PAGES = 5_000;
/** What a server can mean. Seconds, tokens, bytes. */
const RANGES = {
  start: [0, 3_600],
  slope: [0, TOKEN_SECONDS.most],
  secondsPerToken: [TOKEN_SECONDS.least, TOKEN_SECONDS.most],
  loadSeconds: [0, 3_600],
  bytesPerToken: [1, 16],
  tokens: [0, 1e8],
  beside: [1, MOST_BESIDE],
  count: [1, Number.MAX_SAFE_INTEGER],
} as const;
type Range = readonly [least: number, most: number];

export interface ReadBook {
  readonly pages: readonly SavedPage[];
  /** What was left out, and why: the first few. */
  readonly problems: readonly Problem[];
  /** How much was left out. */
  readonly leftOut: number;
}

/**
 * The book's file: what was kept over a restart, as far as it makes sense. People edit files, and one number that no
 * server can mean would steer requests until enough answers outweigh it.
 */
export function readSavedBook(value: unknown): ReadBook {
  const read = new BookReader();
  return { pages: read.book(value), problems: read.problems, leftOut: read.leftOut };
}

/**
 * The same as text, piece by piece: a full book at once would hold up all requests.
 * @param mostBytes of the file, in UTF-8; pages that would make it longer are left out
 */
export function* savedBookText(pages: Iterable<SavedPage>, mostBytes: number): Generator<string> {
  const [begin, end] = ['{"version":1,"meters":[', '\n]}\n'];
  let bytes = begin.length + end.length;
  yield begin;
  let separator = '\n';
  for (const page of pages) {
    const text = separator + JSON.stringify(page);
    bytes += Buffer.byteLength(text);
    if (bytes > mostBytes) break;
    yield text;
    separator = ',\n';
  }
  yield end;
}

/** Reads, and notes what it leaves out. */
class BookReader {
  readonly problems: Problem[] = [];
  leftOut = 0;

  book(value: unknown): SavedPage[] {
    const meters = isObject(value) && value['version'] === 1 ? value['meters'] : null;
    if (!Array.isArray(meters)) {
      this.#leaveOut('the file', null, '{"version":1,"meters":[…]}');
      return [];
    }
    if (meters.length > MOST_PAGES) this.#leaveOut('meters', `${meters.length} of them`, `at most ${MOST_PAGES}`);
    return meters
      .slice(0, MOST_PAGES)
      .map((page, at) => this.#page(page, `meters[${at}]`))
      .filter((page) => page !== null);
  }

  #page(value: unknown, name: string): SavedPage | null {
    const page = isObject(value) ? value : {};
    const names = this.#names(page, name);
    const reading = this.#reading(page['reading'], `${name}.reading`);
    const { samples } = page;
    if (names === null || reading === null) return null;
    if (!isCount(samples)) return this.#leaveOut(`${name}.samples`, samples, 'a whole number');
    return {
      ...names,
      reading,
      writing: this.#writing(page['writing'], `${name}.writing`),
      loadSeconds: this.#optional(page, 'loadSeconds', name),
      bytesPerToken: this.#optional(page, 'bytesPerToken', name),
      outputTokens: this.#counts(page['outputTokens'], `${name}.outputTokens`, MOST_OUTPUTS),
      samples,
    };
  }

  #names({ key, place, model }: JsonObject, name: string): Pick<SavedPage, 'key' | 'place' | 'model'> | null {
    if (!isName(model)) return this.#leaveOut(`${name}.model`, model, `text of at most ${MOST_NAME} characters`);
    if (!isName(key) || !key.endsWith(`\n${model}`)) {
      return this.#leaveOut(`${name}.key`, key, "the target's id, its address and the model, a line each");
    }
    if (place !== 'local' && place !== 'cloud') return this.#leaveOut(`${name}.place`, place, 'local, cloud');
    return { key, place, model };
  }

  #reading(value: unknown, name: string): SavedPage['reading'] | null {
    const { start, slope, lengths } = isObject(value) ? value : ({} as JsonObject);
    if (!isWithin(start, RANGES.start)) return this.#leaveOut(`${name}.start`, start, textOf(RANGES.start));
    if (!isWithin(slope, RANGES.slope)) return this.#leaveOut(`${name}.slope`, slope, textOf(RANGES.slope));
    return { start, slope, lengths: this.#counts(lengths, `${name}.lengths`, MOST_LENGTHS) };
  }

  #writing(value: unknown, name: string): SavedPage['writing'] {
    const rows: SavedPage['writing'][number][] = [];
    for (const [at, row] of this.#list(value, name, MOST_BESIDE).entries()) {
      const [beside, secondsPerToken, count] = Array.isArray(row) ? row : [];
      const isRight =
        isWithin(beside, RANGES.beside) &&
        isWithin(count, RANGES.count) &&
        isCount(beside) &&
        isCount(count) &&
        isWithin(secondsPerToken, RANGES.secondsPerToken);
      const isTwice = rows.some(([known]) => known === beside);
      if (isRight && !isTwice) rows.push([beside, secondsPerToken, count]);
      else this.#leaveOut(`${name}[${at}]`, row, ROW);
    }
    return rows;
  }

  #optional(page: JsonObject, field: 'loadSeconds' | 'bytesPerToken', name: string): number | null {
    const value = page[field] ?? null;
    if (value === null || isWithin(value, RANGES[field])) return value;
    return this.#leaveOut(`${name}.${field}`, value, textOf(RANGES[field]));
  }

  #counts(value: unknown, name: string, most: number): number[] {
    return this.#list(value, name, most).filter((each, at): each is number => {
      const isRight = isCount(each) && isWithin(each, RANGES.tokens);
      if (!isRight) this.#leaveOut(`${name}[${at}]`, each, `whole numbers ${textOf(RANGES.tokens)}`);
      return isRight;
    });
  }

  #list(value: unknown, name: string, most: number): readonly unknown[] {
    const list = Array.isArray(value) ? value : [];
    if (value !== undefined && !Array.isArray(value)) this.#leaveOut(name, value, 'a list');
    if (list.length > most) this.#leaveOut(name, `${list.length} of them`, `at most ${most}`);
    return list.slice(0, most);
  }

  #leaveOut(name: string, seen: unknown, allowed: string): null {
    this.leftOut++;
    if (this.problems.length >= MOST_PROBLEMS) return null;
    this.problems.push({
      where: 'learned.json',
      name,
      seen: seen === undefined || seen === null ? null : JSON.stringify(seen).slice(0, MOST_SHOWN),
      message: 'it makes no sense and is left out',
      allowed,
      fix: 'Nothing is needed: it is learned anew. To begin anew with all, stop the gateway and delete the file',
    });
    return null;
  }
}

/** More are only counted. */
const MOST_PROBLEMS = 5;
/** Characters. */
const MOST_SHOWN = 100;
const ROW = `answers at once (1 to ${MOST_BESIDE}, each number once), seconds a token (${textOf(RANGES.secondsPerToken)}), a count`;

function textOf([least, most]: Range): string {
  return `${least} to ${most}`;
}

const isName = (value: unknown): value is string => typeof value === 'string' && value.length <= MOST_NAME;
const isWithin = (value: unknown, [least, most]: Range): value is number =>
  typeof value === 'number' && value >= least && value <= most;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
