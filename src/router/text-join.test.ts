import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { TextJoin } from './text-join.ts';

const BEGINNING = 'Bees dance to tell where the flowers are.';

/** What is handed on when the server says these pieces and ends. */
function joined(beginning: string, pieces: readonly string[], gap = ''): string {
  const join = new TextJoin(beginning, gap);
  return pieces.map((piece) => join.feed(piece)).join('') + join.end();
}

describe('joining the text of a server that goes on with an answer', () => {
  test('the rest alone is handed on at once', () => {
    const join = new TextJoin(BEGINNING, '');
    expect(join.feed(' They')).toBe(' They');
    expect(join.feed(' do.')).toBe(' do.');
  });

  test('the beginning once more is taken off, in whatever pieces it comes', () => {
    expect(joined(BEGINNING, [`${BEGINNING} They`, ' do.'])).toBe(' They do.');
    expect(joined(BEGINNING, [...`${BEGINNING} They do.`])).toBe(' They do.');
    expect(joined(BEGINNING, [BEGINNING])).toBe('');
  });

  test('the beginning as a template trims it is the beginning too', () => {
    expect(joined(` ${BEGINNING}`, [BEGINNING, ' They do.'])).toBe(' They do.');
  });

  test('text that only starts like the beginning is new, all of it', () => {
    expect(joined(BEGINNING, ['Bees', ' dance', ' a lot.'])).toBe('Bees dance a lot.');
    expect(joined(BEGINNING, ['Bees', ' dance'])).toBe('Bees dance');
  });

  test('a short beginning once more may be new text: nothing is handed on', () => {
    const join = new TextJoin('1', '');
    expect([join.feed('10'), join.isUnclear, join.feed('0'), join.end()]).toEqual(['', true, '', '']);
  });

  test('white space that the client has behind the beginning does not come twice', () => {
    expect(joined(BEGINNING, [' ', 'They do.'], ' ')).toBe('They do.');
    expect(joined(BEGINNING, ['\n\n', 'They do.'], '\n')).toBe('\nThey do.');
    expect(joined(BEGINNING, [`${BEGINNING} They`], ' ')).toBe('They');
    expect(joined(BEGINNING, ['They', ' do.'], ' ')).toBe('They do.');
  });

  test('whatever the texts and the pieces: the rest comes whole, or nothing does', () => {
    const text = fc.array(fc.constantFrom('a', 'b', 'ab', ' ', '\n', '🐝', BEGINNING), { maxLength: 12 });
    const cuts = fc.array(fc.nat(300), { maxLength: 8 });
    fc.assert(
      fc.property(text, text, cuts, fc.boolean(), (first, second, at, echoes) => {
        const beginning = first.join('').trimEnd();
        const rest = second.join('');
        fc.pre(beginning !== '');
        const said = echoes ? beginning + rest : rest;
        const ends = [...new Set(at.map((each) => each % (said.length + 1)))].sort((one, other) => one - other);
        const pieces = [0, ...ends].map((from, index) => said.slice(from, ends[index] ?? said.length));
        const join = new TextJoin(beginning, '');
        const given = pieces.map((piece) => join.feed(piece)).join('') + join.end();
        const looksLikeEcho = said.startsWith(beginning) || said.startsWith(beginning.trimStart());
        if (join.isUnclear) expect([given, looksLikeEcho, beginning.trimStart().length < 32]).toEqual(['', true, true]);
        else if (echoes || !looksLikeEcho) expect(given).toBe(rest);
      }),
      { numRuns: 2_000 },
    );
  });
});
