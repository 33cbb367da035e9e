import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { DurationHistogram } from './duration-histogram.ts';
import { exposition, type Sample, type Samples } from './exposition.ts';
import { DURATION_BUCKETS, METRICS, type MetricName } from './metric-list.ts';

interface Parsed {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const COMMENT = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\n"])*",?)+)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"/g;
const VALUE = /^(?:[+-]Inf|NaN|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;

/** Reads the text format by its grammar and throws at the first line that breaks it. */
function parse(text: string): Parsed[] {
  if (!text.endsWith('\n')) throw new Error('the last line has no line feed');
  let family = '';
  const samples: Parsed[] = [];
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue;
    if (line.startsWith('#')) {
      const [, kind, name] = COMMENT.exec(line) ?? [];
      if (name === undefined) throw new Error(`not a comment of the format: ${line}`);
      if (kind === 'HELP') family = name;
      if (name !== family) throw new Error(`TYPE of ${name} stands under ${family}`);
      continue;
    }
    const [, name, labels = '', value = ''] = SAMPLE.exec(line) ?? [];
    if (name === undefined || !VALUE.test(value)) throw new Error(`not a sample: ${line}`);
    if (!name.startsWith(family)) throw new Error(`${name} stands under ${family}`);
    const pairs = [...labels.matchAll(LABEL)].map(([, label, text]) => [label, unescaped(text ?? '')]);
    samples.push({ name, labels: Object.fromEntries(pairs), value: Number(value.replace('Inf', 'Infinity')) });
  }
  return samples;
}

function unescaped(text: string): string {
  return text.replaceAll(/\\(.)/g, (_, character) => (character === 'n' ? '\n' : character));
}

function page(changes: Partial<Record<MetricName, readonly Sample[]>>): string {
  const none = Object.fromEntries(METRICS.map(({ name }) => [name, []])) as unknown as Samples;
  return exposition({ ...none, ...changes });
}

describe('the page of metrics', () => {
  test('gives back any label text and any number', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.double(), (target, value) => {
        fc.pre(target.isWellFormed());
        const text = page({ swarmrouter_target_in_flight: [{ labels: [target], value }] });
        const [sample, ...more] = parse(text);
        expect(more).toEqual([]);
        expect(sample?.labels).toEqual({ target });
        expect(sample?.value).toBe(value === 0 ? 0 : value);
      }),
    );
  });

  test('adds up the buckets of a histogram, each with all that is not longer', () => {
    const seconds = fc.oneof(fc.double({ min: 0, max: 1000, noNaN: true }), fc.constantFrom(...DURATION_BUCKETS));
    fc.assert(
      fc.property(fc.array(seconds), (durations) => {
        const histogram = new DurationHistogram();
        for (const duration of durations) histogram.observe(duration);
        const samples = parse(page({ swarmrouter_first_token_seconds: [{ labels: ['box'], value: histogram }] }));
        const of = (suffix: string) =>
          samples.filter(({ name }) => name === `swarmrouter_first_token_seconds_${suffix}`);
        const bounds = [...DURATION_BUCKETS, Number.POSITIVE_INFINITY];
        expect(of('bucket').map(({ labels, value }) => [labels['target'], labels['le'], value])).toEqual(
          bounds.map((bound) => [
            'box',
            bound === Number.POSITIVE_INFINITY ? '+Inf' : String(bound),
            durations.filter((duration) => duration <= bound).length,
          ]),
        );
        expect(of('count').map(({ value }) => value)).toEqual([durations.length]);
        expect(of('sum')[0]?.value).toBe(durations.reduce((sum, duration) => sum + duration, 0));
      }),
    );
  });
});
