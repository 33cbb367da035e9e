import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { readEnvFile } from './env-file.ts';

const valuesOf = (text: string) =>
  Object.fromEntries([...readEnvFile(text).entries].map(([name, entry]) => [name, entry.value]));

describe('.env', () => {
  test('plain values, comments, blank lines, export and Windows line ends are understood', () => {
    expect(valuesOf('\uFEFF# a comment\r\n\r\nA=1\r\nexport B = two words \r\n  C=x#y # why\nD=')).toEqual({
      A: '1',
      B: 'two words',
      C: 'x#y',
      D: '',
    });
  });

  test('single quotes are literal, double quotes know escapes, and both keep # and outer spaces', () => {
    expect(valuesOf(`A=' # $HOME \\n '\nB="a\\n\\"b\\" # \\\\ $HOME" # note`)).toEqual({
      A: ' # $HOME \\n ',
      B: 'a\n"b" # \\ $HOME',
    });
  });

  test('nothing is expanded', () => {
    expect(valuesOf('A=$HOME\nB=$(id)\nC=`id`')).toEqual({ A: '$HOME', B: '$(id)', C: '`id`' });
  });

  test('the last of two lines for one name counts, with its line', () => {
    expect(readEnvFile('A=1\nA=2').entries.get('A')).toEqual({ value: '2', line: 2 });
  });

  test('a line that is no assignment and a quote that is left open are told with their lines, never with their text', () => {
    const { problems } = readEnvFile("A=1\nsk-secret-in-the-wrong-place\nB=\"sk-secret\nC='x' y");
    expect(problems.map((problem) => [problem.where, problem.name])).toEqual([
      ['.env line 2', '.env'],
      ['.env line 3', 'B'],
      ['.env line 4', 'C'],
    ]);
    expect(JSON.stringify(problems)).not.toContain('sk-secret');
  });

  test('a value may hold the line separators of Unicode', () => {
    expect(valuesOf('A="a\u2028b\u2029c"')).toEqual({ A: 'a\u2028b\u2029c' });
  });

  test('any value without a line break comes back from double quotes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (value) => {
        fc.pre(!/[\r\n]/.test(value));
        const quoted = value.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
        expect(valuesOf(`A="${quoted}"`)).toEqual({ A: value });
      }),
    );
  });
});
