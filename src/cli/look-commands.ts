import { type Command, Option } from 'commander';
import { type AddRun, wantsJson } from './command-parts.ts';
import { type DecisionFlags, decisions } from './decisions.ts';
import { type ExplainFlags, explain } from './explain.ts';
import { status } from './status.ts';
import type { Terminal } from './terminal.ts';
import { type TopFlags, top } from './top.ts';

/** How the running gateway is, and where requests go. */
export function addLookCommands(program: Command, terminal: Terminal, add: AddRun): void {
  addStatus(program, terminal, add);
  addTop(program, terminal, add);
  addExplain(program, terminal, add);
  addDecisions(program, terminal, add);
}

function addStatus(program: Command, terminal: Terminal, add: AddRun): void {
  const command = program.command('status').description('show how the running gateway is').option('--json', 'as JSON');
  add(command, (client) => status(client, terminal, wantsJson(command)));
}

function addTop(program: Command, terminal: Terminal, add: AddRun): void {
  const command = program
    .command('top')
    .description('watch the running gateway: nodes, slots, speeds, the latest decisions; q ends it')
    .option('--interval <time>', 'time between two looks: 1s, 500ms (default: 1s)')
    .option('--once', 'one look, without taking over the screen')
    .option('--json', 'one look, as JSON');
  add(command, (client) => top(client, terminal, command.opts<TopFlags>()));
}

function addExplain(program: Command, terminal: Terminal, add: AddRun): void {
  const command = program
    .command('explain')
    .description('show where a chat request would go now, why, and at what cost; sends nothing')
    .option('-m, --model <model>', 'the model to ask for')
    .option('-p, --prompt <text>', 'one message of the user')
    .option('-f, --file <path>', 'the JSON body of a request; - reads standard input')
    .addOption(
      new Option(
        '--header <header>',
        "a header of the request, such as 'x-swarmrouter-place: local'; may be repeated",
      ).argParser((header: string, before: readonly string[] = []) => [...before, header]),
    )
    .option('--json', 'as JSON');
  add(command, (client) => explain(client, terminal, command.opts<ExplainFlags>()));
}

function addDecisions(program: Command, terminal: Terminal, add: AddRun): void {
  const command = program
    .command('decisions')
    .description('show where the latest requests went, and why')
    .argument('[id]', 'the x-request-id of one, to see all of it')
    .option('--limit <number>', 'at most this many, 1 to 1000 (default: 50)')
    .option('--target <id>', 'only those that this target answered or was asked for')
    .option('--model <model>', 'only those that asked for this model or were answered by it')
    .option('--json', 'as JSON');
  add(command, (client) => decisions(client, terminal, command.args[0] ?? null, command.opts<DecisionFlags>()));
}
