import { expect, test } from 'bun:test';
import { runProgram } from './program.ts';
import { recordedTerminal } from './terminal-fixture.ts';

const GROUPS =
  'keys budgets users tokens projects organisations limits secrets usage ledger audit prices providers aliases routes';

for (const group of GROUPS.split(' ')) {
  test(`a command that ${group} does not have is said to be unknown, with those that it has`, async () => {
    const terminal = recordedTerminal({});
    const code = await runProgram([group, 'paint', 'it'], terminal);
    const { out, error } = terminal.written();
    expect([code, out]).toEqual([2, '']);
    expect(error).toMatch(new RegExp(`unknown command "paint" of "${group}": there (is|are) [a-z, -]+\\. See`));
  });
}

test('a word that is no group, and a flag of the default command, are not taken for unknown commands', async () => {
  const stray = recordedTerminal({});
  await runProgram(['explain', 'paint'], stray);
  expect(stray.written().error).toContain('too many arguments');
  const help = recordedTerminal({});
  expect(await runProgram(['keys', 'help'], help)).toBe(0);
});
