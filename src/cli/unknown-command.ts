import type { Command } from 'commander';

/**
 * A word that is no command of a group falls to the group's default command, which would call it an argument too many.
 * @param words as typed, behind the program's name
 * @returns what to say; null: there is nothing to say
 */
export function unknownCommand(program: Command, [first = '', second = '']: readonly string[]): string | null {
  const group = program.commands.find((command) => command.name() === first);
  if (group === undefined || group.commands.length === 0 || second === '' || second.startsWith('-')) return null;
  const names = group.commands.map((command) => command.name());
  if (names.includes(second) || second === 'help') return null;
  return `error: unknown command ${JSON.stringify(second.slice(0, 80))} of "${first}": there ${names.length === 1 ? 'is' : 'are'} ${names.join(', ')}. See "swarmrouter ${first} --help".`;
}
