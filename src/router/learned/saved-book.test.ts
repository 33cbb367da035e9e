import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { targetOf } from '../../../test/support/fleet.ts';
import { LESSON } from '../../../test/support/lesson.ts';
import { readSavedBook, savedBookText } from './saved-book.ts';
import { SpeedBook } from './speed-book.ts';

const desk = targetOf({ id: 'desk' });
const PAGE = {
  key: `desk\n${desk.baseUrl}\nm`,
  place: 'local',
  model: 'm',
  samples: 5,
  reading: { start: 0.01, slope: 1e-3, lengths: [100, 500, 900] },
  writing: [[1, 0.02, 10]],
  loadSeconds: 2,
  bytesPerToken: 4,
  outputTokens: [100, 200],
};

function learn(book: SpeedBook, model: string, promptTokens: number): void {
  const meter = book.open(desk, model);
  meter.learn({ ...LESSON, promptTokens, promptBytes: promptTokens * 4, readingSeconds: promptTokens / 2_000 });
  book.learned(desk, model, meter);
}

const textOf = (book: SpeedBook, mostBytes = 1e9): string => [...savedBookText(book.save(), mostBytes)].join('');
const readPage = (change: object) => readSavedBook({ version: 1, meters: [{ ...PAGE, ...change }] });

function restored(text: string): SpeedBook {
  const book = new SpeedBook();
  const { pages, leftOut } = readSavedBook(JSON.parse(text));
  expect(leftOut).toBe(0);
  book.restore(pages);
  return book;
}

describe('the saved book', () => {
  test('brings back over a restart what was learned', () => {
    const before = new SpeedBook();
    for (const promptTokens of [500, 2_000, 8_000]) learn(before, 'm', promptTokens);
    const meter = restored(textOf(before)).find(desk, 'm');
    expect(meter?.reading.at(4_000)).toBeCloseTo(2, 3);
    expect(meter?.writing.secondsPerToken(1)).toBeCloseTo(0.02);
    expect(meter?.isMeasured).toBe(true);
    expect(meter?.bytesPerToken).toBe(4);
  });

  test('brings back the line through the samples as it was, and moves on from there', () => {
    const before = new SpeedBook();
    for (const promptTokens of [1_000, 1_010, 1_020, 990]) learn(before, 'm', promptTokens);
    const [was, is] = [before, restored(textOf(before))].map((book) => book.find(desk, 'm')?.reading);
    expect([is?.start, is?.slope]).toEqual([was?.start, was?.slope]);
    is?.add(4_000, 8);
    expect(is?.slope).not.toBe(was?.slope as number);
  });

  test('keeps the order of use, so that the oldest names go first afterwards too', () => {
    const before = new SpeedBook();
    for (const model of ['a', 'b', 'c']) learn(before, model, 500);
    before.open(desk, 'a');
    expect(
      restored(textOf(before))
        .of(desk)
        .map(([model]) => model),
    ).toEqual(['b', 'c', 'a']);
  });

  test('is no longer than it may be, and whole', () => {
    const book = new SpeedBook();
    for (let name = 0; name < 50; name++) learn(book, `name-ö-${name}`, 500);
    const text = textOf(book, 5_000);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(5_000);
    const { pages } = readSavedBook(JSON.parse(text));
    expect(pages.length).toBeGreaterThan(5);
    // The latest are kept.
    expect(pages[0]?.model).toBe('name-ö-49');
  });

  test('is not taken from a file that is something else', () => {
    for (const value of [null, 7, [], {}, { version: 2, meters: [] }, { version: 1, meters: 'x' }]) {
      expect(readSavedBook(value)).toMatchObject({ pages: [], leftOut: 1 });
    }
  });

  test.each([
    ['meters[0].bytesPerToken', { bytesPerToken: 1e-6 }, { bytesPerToken: null }],
    ['meters[0].bytesPerToken', { bytesPerToken: 5e-324 }, { bytesPerToken: null }],
    ['meters[0].bytesPerToken', { bytesPerToken: '4' }, { bytesPerToken: null }],
    ['meters[0].loadSeconds', { loadSeconds: 1e308 }, { loadSeconds: null }],
    ['meters[0].writing[0]', { writing: [[1, 1e300, 10]] }, { writing: [] }],
    ['meters[0].writing[0]', { writing: [[1, 0.02, 1e308]] }, { writing: [] }],
    ['meters[0].writing[0]', { writing: [[1.5, 0.02, 10]] }, { writing: [] }],
    ['meters[0].writing[1]', { writing: [PAGE.writing[0], PAGE.writing[0]] }, { writing: PAGE.writing }],
    ['meters[0].outputTokens[1]', { outputTokens: [5, 0.5, 7] }, { outputTokens: [5, 7] }],
    ['meters[0].outputTokens', { outputTokens: 'x' }, { outputTokens: [] }],
  ] as const)('leaves out %s where no server can mean it', (name, change, kept) => {
    const { pages, problems } = readPage(change);
    expect(problems.map((problem) => problem.name)).toEqual([name]);
    expect(pages).toMatchObject([{ ...PAGE, ...kept }]);
  });

  test.each([
    ['meters[0].reading.slope', { reading: { start: 0, slope: 1e308, lengths: [1] } }],
    ['meters[0].reading.start', { reading: { start: -1, slope: 1, lengths: [] } }],
    ['meters[0].reading.start', { reading: 7 }],
    ['meters[0].place', { place: 'moon' }],
    ['meters[0].model', { model: 7 }],
    ['meters[0].key', { key: 'desk' }],
    ['meters[0].samples', { samples: 1.5 }],
  ] as const)('leaves out a page for its %s', (name, change) => {
    const { pages, problems } = readPage(change);
    expect(problems.map((problem) => problem.name)).toEqual([name]);
    expect(pages).toEqual([]);
  });

  test('names a few of many things that make no sense, with what was seen and what is allowed', () => {
    const { pages, problems, leftOut } = readPage({ writing: Array.from({ length: 300_000 }, () => [1, 1e300, 1]) });
    expect(pages[0]?.writing).toEqual([]);
    expect(leftOut).toBe(33);
    expect(problems).toHaveLength(5);
    expect(problems[0]).toMatchObject({ where: 'learned.json', seen: '"300000 of them"', allowed: 'at most 32' });
    expect(problems[1]).toMatchObject({ name: 'meters[0].writing[0]', seen: '[1,1e+300,1]' });
  });

  test('gives numbers to count with, whatever is in the file', () => {
    const odd = fc.oneof(fc.double({ noNaN: false }), fc.integer(), fc.constant(null), fc.constant('x'));
    const list = fc.array(odd, { maxLength: 8 });
    const page = fc.record({
      reading: fc.record({ start: odd, slope: odd, lengths: list }),
      writing: fc.array(list, { maxLength: 8 }),
      loadSeconds: odd,
      bytesPerToken: odd,
      outputTokens: list,
      samples: odd,
    });
    fc.assert(
      fc.property(page, (change) => {
        const book = new SpeedBook();
        book.restore(readPage(change).pages);
        const usual = book.usual('local', 'm');
        for (const value of Object.values(usual)) expect(value >= 0 && value < 1e9).toBe(true);
        const meter = book.find(desk, 'm');
        for (const beside of [1, 2, 32]) expect(meter?.writing.secondsPerToken(beside) ?? 1).toBeLessThan(1e4);
        expect(meter?.promptTokens({ bytes: 1_000 }) ?? 1).toBeLessThanOrEqual(1_000);
      }),
    );
  });
});
