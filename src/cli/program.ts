import { Command, CommanderError } from 'commander';
import type { Config, LoadAnew } from '../config/config.ts';
import { VERSION } from '../version.ts';
import { check } from './check.ts';
import { type Finish, wantsJson } from './command-parts.ts';
import { commandsOfGateway } from './connection.ts';
import type { DiscoverFlags } from './discover.ts';
import { EXIT_OK, EXIT_WRONG_USE } from './exit-codes.ts';
import { addKeyCommands } from './key-commands.ts';
import { addLookCommands } from './look-commands.ts';
import { addPeopleCommands } from './people-commands.ts';
import { problemsText } from './print-problems.ts';
import { addRecordCommands } from './record-commands.ts';
import { addRoutingCommands } from './routing-commands.ts';
import { addSettingFlags, loadWithFlags } from './setting-flags.ts';
import type { Terminal } from './terminal.ts';
import { unknownCommand } from './unknown-command.ts';

/** Runs the gateway until it ends; resolves with the exit code. */
export type StartGateway = (config: Config, load: LoadAnew) => Promise<number>;

// Loaded only when it is needed: `--version` and `check` need no HTTP server.
const startGatewayProcess: StartGateway = async (config, load) => (await import('../main.ts')).main(config, load);

/** Runs `swarmrouter <arguments>`; resolves with the exit code and never throws for what a person typed. */
export async function runProgram(
  words: readonly string[],
  terminal: Terminal,
  start: StartGateway = startGatewayProcess,
): Promise<number> {
  let exitCode = EXIT_OK;
  const program = buildProgram(terminal, start, (code) => {
    exitCode = code;
  });
  const unknown = unknownCommand(program, words);
  if (unknown !== null) {
    terminal.error(unknown);
    return EXIT_WRONG_USE;
  }
  try {
    await program.parseAsync(words, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Commander has written its message already. Help and version end with 0, everything else is wrong use.
    return error.exitCode === 0 ? EXIT_OK : EXIT_WRONG_USE;
  }
}

function buildProgram(terminal: Terminal, start: StartGateway, finish: Finish): Command {
  const program = new Command('swarmrouter')
    .description(
      'One OpenAI-compatible door in front of your own model servers and the cloud: local first, overflow when needed.',
    )
    .version(VERSION, '-v, --version', 'print the version')
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.error(text.trimEnd()),
    })
    // Only the parser takes their values as optional (see setting-flags).
    .configureHelp({ optionTerm: (option) => option.flags.replace(/\[(.*)\]/, '<$1>') })
    .addHelpText(
      'after',
      '\nEvery setting is also an environment variable, a line of .env and a key of swarmrouter.yaml.\n"swarmrouter start --help" lists them.',
    );
  addStart(program, terminal, start, finish);
  addCheck(program, terminal, finish);
  addDiscover(program, terminal, finish);
  const add = commandsOfGateway(terminal, finish);
  addLookCommands(program, terminal, add);
  addKeyCommands(program, terminal, add);
  addPeopleCommands(program, terminal, add);
  addRecordCommands(program, terminal, add);
  addRoutingCommands(program, terminal, add);
  return program;
}

function addStart(program: Command, terminal: Terminal, start: StartGateway, finish: Finish): void {
  const command = program
    .command('start', { isDefault: true })
    .description('run the gateway (the default command)')
    .allowUnknownOption()
    .allowExcessArguments();
  addSettingFlags(command).action(async () => {
    const result = loadWithFlags(command, terminal);
    if (result.ok)
      return finish(await start(result.config, (port) => loadWithFlags(command, terminal, { listeningOn: port })));
    terminal.error(`${problemsText(result.problems)}\n\nEvery setting and where it came from: swarmrouter check`);
    finish(EXIT_WRONG_USE);
  });
}

function addCheck(program: Command, terminal: Terminal, finish: Finish): void {
  const command = program
    .command('check')
    .description('show every setting as in force, where it came from, and every problem')
    .option('--json', 'as JSON')
    .allowUnknownOption()
    .allowExcessArguments();
  addSettingFlags(command).action(() => {
    finish(check(loadWithFlags(command, terminal), terminal, wantsJson(command)));
  });
}

function addDiscover(program: Command, terminal: Terminal, finish: Finish): void {
  const command = program
    .command('discover')
    .description('look for model servers on this machine or the network, and print what makes them targets')
    .option('--subnet <networks...>', 'IPv4 networks such as 192.168.1.0/24, up to /20')
    .option('--host <names...>', 'machines, by name or address (default: this one)')
    .option('--ports <ports...>', 'ports to look at (default: 1234 11434 8080 9931 8000 30000)')
    .option('--config <file>', 'the YAML file to add to (default: the one that the gateway reads)')
    .option('--json', 'as JSON')
    .option('--write', 'add what is not configured yet to the YAML file');
  command.action(async () => {
    // It brings the adapters with it, which no other command needs.
    const { discover } = await import('./discover.ts');
    finish(await discover(terminal, command.opts<DiscoverFlags>()));
  });
}
