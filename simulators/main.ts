import { Command, InvalidArgumentError, Option } from 'commander';
import { FAULT_KINDS, type SimulatedModel, type Simulator, type SimulatorKind, startSimulator } from './index.ts';
import { CONTROL_ENDPOINTS } from './server/control.ts';
import { WIRES } from './wires/index.ts';

interface ServerChoice {
  readonly kind: SimulatorKind;
  readonly port: number;
}

interface CommandOptions {
  readonly host: string;
  readonly models: readonly string[];
  readonly onDisk: readonly string[];
  readonly slots?: number;
  readonly firstTokenMs: number;
  readonly tokensPerSecond: number;
  readonly replyTokens: number;
  readonly loadMs: number;
  readonly contextLength?: number;
  readonly apiKey?: string;
}

const KINDS = Object.keys(WIRES) as SimulatorKind[];

const HELP_AFTER = `
Control endpoints of every simulator (JSON bodies):
${CONTROL_ENDPOINTS.map(([endpoint, meaning]) => `  ${endpoint.padEnd(24)} ${meaning}`).join('\n')}

Kinds of fault: ${FAULT_KINDS.join(', ')}
  (simulators/fault.ts says what each does and which fields it takes; "scope" may be inference, listing or all)

Example:
  npm run simulate -- lm-studio:1234 ollama:11434 --models qwen2.5-7b,llama-3.2-3b --tokens-per-second 40
  curl http://127.0.0.1:1234/api/v1/models
  curl -X POST http://127.0.0.1:1234/_sim/fault -d '{"kind":"reset","afterChunks":3,"times":1}'
`;

function readServer(text: string, before: readonly ServerChoice[] = []): ServerChoice[] {
  const [kindText, portText = '0', ...rest] = text.split(':');
  const kind = KINDS.find((each) => each === kindText);
  if (kind === undefined) throw new InvalidArgumentError(`the kind must be one of ${KINDS.join(', ')}.`);
  const port = Number(portText);
  if (rest.length > 0 || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new InvalidArgumentError('write kind or kind:port, with a port from 0 (any free one) to 65535.');
  }
  return [...before, { kind, port }];
}

function readNumber(minimum: number, whole: boolean): (text: string) => number {
  return (text) => {
    const value = text === 'max' && !whole ? Number.POSITIVE_INFINITY : Number(text);
    if (text.trim() === '' || Number.isNaN(value) || value < minimum || (whole && !Number.isInteger(value))) {
      throw new InvalidArgumentError(`must be ${whole ? 'an integer' : 'a number'} of at least ${minimum}.`);
    }
    return value;
  };
}

function readNames(text: string): string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

function modelsOf({ models, onDisk, contextLength }: CommandOptions): SimulatedModel[] {
  const shared = contextLength === undefined ? {} : { contextLength };
  return [
    ...models.map((id) => ({ id, ...shared })),
    ...onDisk.map((id) => ({ id, state: 'on-disk' as const, ...shared })),
  ];
}

async function startAll(servers: readonly ServerChoice[], options: CommandOptions): Promise<Simulator[]> {
  const { host, models: _models, onDisk: _onDisk, contextLength: _contextLength, ...behaviour } = options;
  const started: Simulator[] = [];
  try {
    for (const { kind, port } of servers) {
      started.push(await startSimulator({ kind, port, host, ...behaviour, models: modelsOf(options) }));
    }
  } catch (error) {
    await Promise.all(started.map((simulator) => simulator.stop()));
    throw error;
  }
  return started;
}

async function run(servers: readonly ServerChoice[], options: CommandOptions): Promise<void> {
  const simulators = await startAll(servers, options);
  for (const { kind, url, baseUrl } of simulators) console.log(`${kind.padEnd(18)} ${url}   base URL ${baseUrl}`);
  const [first] = simulators;
  if (first !== undefined) console.log(`\nTry:  curl ${first.url}/_sim/state\nStop with Ctrl+C.`);
  const stop = async (): Promise<void> => {
    await Promise.all(simulators.map((simulator) => simulator.stop()));
    process.exit(0);
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
}

const program = new Command('simulate')
  .description(
    'Starts upstream model servers that are not real: their wires, speeds, slots and faults over real sockets.',
  )
  .argument('<servers...>', `kind or kind:port; kinds: ${KINDS.join(', ')}`, readServer)
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .option('--models <names>', 'loaded models, separated by commas', readNames, ['sim-model'])
  .option('--on-disk <names>', 'models that the first request loads', readNames, [])
  .option('--slots <count>', "requests at once on a model (default: the kind's own)", readNumber(1, true))
  .option('--first-token-ms <ms>', 'from a free slot to the first token', readNumber(0, false), 200)
  .addOption(
    new Option('--tokens-per-second <rate>', 'a number, or max for no pause')
      .argParser(readNumber(0.001, false))
      .default(50),
  )
  .option('--reply-tokens <count>', 'words in the default reply', readNumber(1, true), 40)
  .option('--load-ms <ms>', 'how long loading a model takes', readNumber(0, false), 3000)
  .option('--context-length <tokens>', 'what the loaded models hold (default: 8192)', readNumber(1, true))
  .option('--api-key <key>', 'ask every request for this key')
  .addHelpText('after', HELP_AFTER)
  .action(run);

try {
  await program.parseAsync();
} catch (error) {
  const { message, code } = error as NodeJS.ErrnoException;
  const advice = code === 'EADDRINUSE' ? ' Choose another port, or kind:0 for any free one.' : '';
  console.error(`simulate: ${message}.${advice}`);
  process.exit(1);
}
