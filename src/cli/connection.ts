import type { Command } from 'commander';
import type { LoadResult } from '../config/config.ts';
import { readTextFile } from '../config/load.ts';
import { type AdminClient, adminClient } from './admin-client.ts';
import type { AddRun, Finish } from './command-parts.ts';
import { EXIT_WRONG_USE } from './exit-codes.ts';
import { problemsText } from './print-problems.ts';
import { addSettingFlags, loadWithFlags } from './setting-flags.ts';
import type { Terminal } from './terminal.ts';

/** The settings that say where the running gateway is and what its admin key is. */
const CONNECTION_SETTINGS = [
  'SWARMROUTER_HOST',
  'SWARMROUTER_PORT',
  'SWARMROUTER_ADMIN_KEY',
  'SWARMROUTER_DATA_DIR',
  'SWARMROUTER_CONFIG',
];
const PLACE_SETTINGS = ['SWARMROUTER_HOST', 'SWARMROUTER_PORT', 'SWARMROUTER_DATA_DIR'];

/** Makes commands ones that talk to the running gateway. */
export function commandsOfGateway(terminal: Terminal, finish: Finish): AddRun {
  return (command, run) => connect(command, terminal, finish, run);
}

function connect(
  command: Command,
  terminal: Terminal,
  finish: Finish,
  run: (client: AdminClient) => Promise<number>,
): void {
  command.option('--url <url>', 'address of the gateway');
  command.option('--in <organisation>', 'act in this organisation; only whoever runs the gateway may');
  addSettingFlags(command, CONNECTION_SETTINGS).action(async () => {
    const result = loadConnection(command, terminal);
    if (!result.ok) {
      terminal.error(problemsText(result.problems));
      return finish(EXIT_WRONG_USE);
    }
    const { url = null, in: organisation = null } = command.opts<{ url?: string; in?: string }>();
    finish(await run(adminClient(result.config, url, organisation)));
  });
}

/**
 * Where the gateway is. Whatever else is wrong in the YAML file is for the gateway to tell: it goes on with what it read
 * before, and `status` shows why.
 */
function loadConnection(command: Command, terminal: Terminal): LoadResult {
  const result = loadWithFlags(command, terminal);
  if (result.ok || result.problems.some(({ name }) => CONNECTION_SETTINGS.includes(name))) return result;
  const known = result.settings.filter(({ name, value }) => PLACE_SETTINGS.includes(name) && value !== '');
  const { SWARMROUTER_CONFIG: _, ...given } = terminal.environment;
  const environment = { ...given, ...Object.fromEntries(known.map(({ name, value }) => [name, value])) };
  const again = loadWithFlags(
    command,
    { ...terminal, environment },
    { readFile: (path) => (path.endsWith('.env') ? readTextFile(path) : null) },
  );
  return again.ok ? again : result;
}
