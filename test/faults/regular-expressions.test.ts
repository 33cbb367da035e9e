import { describe, expect, test } from 'bun:test';
import ts from 'typescript';
import { ROOT, readText } from '../docs/documents.ts';

/**
 * Patterns that may take the square of a text's length, and why no outsider's text makes them: it is the operator's
 * own, or it was cut before.
 */
const BOUNDED: Readonly<Record<string, string>> = {
  [String.raw`/\/+$/`]: 'addresses: the operator’s, or at most 2,048 characters in the control plane',
  '/invalid.*response|invalid.?content.?length|malformed|parse|headers.?too.?large|unrequested.?upgrade/i':
    'codes of errors, which are the runtime’s own',
  [String.raw`/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g`]: 'only texts that another pattern, which is linear, found right',
  [String.raw`/no endpoints found|\bmodel\b.*\bnot found\b|no models loaded|model\b.*\bdoes not exist/i`]:
    'messages of servers, cut at 4,096 characters',
  [String.raw`/\[(.*)\]/`]: 'the command line',
  [String.raw`/T(\d\d:\d\d:\d\d).*$/`]: 'times that the gateway wrote',
  [String.raw`/^(x-[a-z0-9-]+) *: *([\x20-\x7e]*)$/i`]: 'the command line',
  '/@.*$/': 'names of models, at most 512 characters',
  '/[-_:](?:i?q[2-8](?:_[a-z0-9]+)*)$/': 'names of models, at most 512 characters',
  [String.raw`/[.\s]+$/`]: 'messages of servers, cut at 500 characters',
  '/0+$/': 'the nine digits after the point of an amount',
  [String.raw`/^(.+?)\1+$/`]: 'the operator’s own keys',
  '/-+$/': 'names of machines on the operator’s network, cut before',
  [String.raw`/(^|\s)#.*$/`]: 'the operator’s .env',
};

interface Found {
  readonly literal: string;
  readonly pattern: RegExp;
  readonly where: string;
}

/** Every regular expression that the product's sources write down. */
function patternsOf(): readonly Found[] {
  const found = new Map<string, Found>();
  const files = [...new Bun.Glob('src/**/*.ts').scanSync({ cwd: ROOT })].filter((path) => !path.endsWith('.test.ts'));
  for (const path of files) {
    const file = ts.createSourceFile(path, readText(path), ts.ScriptTarget.Latest, false);
    const visit = (node: ts.Node): void => {
      if (ts.isRegularExpressionLiteral(node)) {
        const literal = node.text;
        const end = literal.lastIndexOf('/');
        const pattern = new RegExp(literal.slice(1, end), literal.slice(end + 1).replace(/[gy]/g, ''));
        if (!found.has(literal)) found.set(literal, { literal, pattern, where: path });
      }
      ts.forEachChild(node, visit);
    };
    visit(file);
  }
  return [...found.values()];
}

/** What stands for the classes of a pattern. */
const SAMPLES: readonly (readonly [RegExp, string])[] = [
  [/\\d/g, '0'],
  [/\\[wS]/g, 'a'],
  [/\\s/g, ' '],
  [/\\[bB]/g, ' '],
  [/\\x[0-9a-f]{2}/gi, 'a'],
  [/\\p\{\w+\}/g, '\u0001'],
  [/\[\^?((?:\\.|[^\]\\])(?:\\.|[^\]\\])?)(?:\\.|[^\]\\])*\]/g, '$1'],
  [/\{\d+(?:,\d*)?\}/g, ''],
  [/\(\?(?:[:=!]|<[=!]|<\w+>)/g, '('],
  [/\\(.)/g, '$1'],
];
const SINGLES = [...'0aA _-./:@=~#"\'[](){}<>,;%$^*+?!|\\\t\n\r\0é'];

function skeletonOf({ literal }: Found): string {
  return SAMPLES.reduce((text, [what, by]) => text.replaceAll(what, by), literal.slice(1, literal.lastIndexOf('/')));
}

/** Something like a text that the pattern takes. */
const wholeOf = (found: Found): string => skeletonOf(found).replaceAll(/[()*+?^$|]/g, '');

/** Texts that, repeated, could make this pattern look again and again from each place. */
function pumpsFor(found: Found): ReadonlySet<string> {
  const [skeleton, whole] = [skeletonOf(found), wholeOf(found)];
  const branches = skeleton.split(/[|()]/).map((part) => part.replaceAll(/[*+?^$]/g, ''));
  const words = [...branches, whole, ...whole.split(/[^a-z]+/i)].filter((word) => word !== '' && word.length < 40);
  return new Set([...SINGLES, ...words, ...words.map((word) => ` ${word}`), ...words.map((word) => `${word}\0`)]);
}

const SHORT = 2_000;
const LONG = 16_000;
/** Eight times the text may take eight times as long; the square would take 64 times. */
const MOST_GROWTH = 24;
/** What takes less is not worth a look, and cannot be told from noise. */
const NOTICED_MS = 4;
const HOPELESS_MS = 100;

function tookMs(pattern: RegExp, text: string): number {
  const startedAtMs = performance.now();
  pattern.test(text);
  return performance.now() - startedAtMs;
}

const least = (times: number, measure: () => number): number => Math.min(...Array.from({ length: times }, measure));

/** The text that makes it slow when repeated; null: none of those that were tried. */
function slowOn(found: Found): string | null {
  const { pattern } = found;
  for (const pump of pumpsFor(found)) {
    for (const prefix of ['', wholeOf(found)]) {
      for (const suffix of ['', '\0', '\n\0']) {
        const textOf = (length: number) => prefix + pump.repeat(Math.ceil(length / pump.length)) + suffix;
        // One that takes all the time there is for so little needs no comparison.
        if (least(2, () => tookMs(pattern, textOf(SHORT))) > HOPELESS_MS) return JSON.stringify(pump + suffix);
        if (tookMs(pattern, textOf(LONG)) < NOTICED_MS) continue;
        // Once more, as the least of several: a machine that paused is no pattern that is slow.
        const long = least(3, () => tookMs(pattern, textOf(LONG)));
        const short = least(5, () => tookMs(pattern, textOf(SHORT)));
        if (long >= NOTICED_MS && long / Math.max(short, 0.001) > MOST_GROWTH) return JSON.stringify(pump + suffix);
      }
    }
  }
  return null;
}

describe('S-13 a regular expression', () => {
  const all = patternsOf();

  test('takes time in proportion to what an outsider sends, in all of the sources', () => {
    expect(all.length).toBeGreaterThan(100);
    const slow = all
      .filter(({ literal }) => !(literal in BOUNDED))
      .flatMap((found) => {
        const text = slowOn(found);
        return text === null ? [] : [`${found.where}: ${found.literal} on ${text} repeated`];
      });
    expect(slow).toEqual([]);
  }, 120_000);

  test('that does not is found by this test, with the text that shows it', () => {
    const found = (pattern: RegExp): Found => ({ literal: String(pattern), pattern, where: 'here' });
    for (const pattern of [/\/+$/, /^(a+)+$/, /model\b.*not found/, /^x:\s*\s*$/, /\s+$/]) {
      expect(slowOn(found(pattern))).toEqual(expect.any(String));
    }
    for (const pattern of [/^\d+$/, /model is (still )?loading/, /^[a-z]{1,64}$/])
      expect(slowOn(found(pattern))).toBeNull();
  }, 60_000);

  test('that is excused is one of the sources', () => {
    const literals = new Set(all.map(({ literal }) => literal));
    expect(Object.keys(BOUNDED).filter((literal) => !literals.has(literal))).toEqual([]);
  });
});
