import type { Command } from 'commander';
import type { AdminClient } from './admin-client.ts';

/** How a command ended. */
export type Finish = (exitCode: number) => void;

/** Makes a command one that talks to the running gateway. */
export type AddRun = (command: Command, run: (client: AdminClient) => Promise<number>) => void;

export const wantsJson = (command: Command): boolean => command.opts()['json'] === true;

export const json = (command: Command): Command => command.option('--json', 'as JSON');

/** The parser of a flag that may be given several times. */
export const each = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export const examples = (command: Command, ...lines: readonly string[]): Command =>
  command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  swarmrouter ${line}`).join('\n')}`);
