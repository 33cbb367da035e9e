import { spawn } from 'node:child_process';

/** How many fetches Bun may run at once; its own default of 256 would cap the gateway. The launcher in bin/ says the same. */
const MAX_HTTP_REQUESTS = '65336';
const VARIABLE = 'BUN_CONFIG_MAX_HTTP_REQUESTS';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;

/** What of a process decides how it is started again. */
export interface Started {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly executable: string;
  /** `process.argv`: the second entry is the script, or a path inside the single executable. */
  readonly arguments: readonly string[];
  /** Options of the runtime itself. */
  readonly runtimeArguments: readonly string[];
}

/**
 * The command that starts this program again with the variable that Bun reads only at its start; null: it is set.
 * @returns the arguments begin with the executable's own name, as execve wants them.
 */
export function relaunchCommand(started: Started): { arguments: string[]; environment: Record<string, string> } | null {
  if (started.environment[VARIABLE]) return null;
  const [, script = '', ...rest] = started.arguments;
  const isCompiled = /^(\/\$bunfs\/|[A-Z]:[/\\]~BUN[/\\])/i.test(script);
  const own = isCompiled ? [] : [...started.runtimeArguments, script];
  const environment = Object.entries({ ...started.environment, [VARIABLE]: MAX_HTTP_REQUESTS });
  return {
    arguments: [started.executable, ...own, ...rest],
    environment: Object.fromEntries(environment.filter((entry): entry is [string, string] => entry[1] !== undefined)),
  };
}

/** Starts this process again when it must be; resolves when there is nothing to do, and otherwise never. */
export async function relaunchIfNeeded(): Promise<void> {
  const command = relaunchCommand({
    environment: process.env,
    executable: process.execPath,
    arguments: process.argv,
    runtimeArguments: process.execArgv,
  });
  if (command === null) return;
  const { execve } = process;
  if (typeof execve === 'function' && process.platform !== 'win32') {
    // Keeps the process id, so signals, exit code and a supervisor's view need no help.
    execve.call(process, process.execPath, command.arguments, command.environment);
  }
  await runAsChild(command.arguments, command.environment);
}

/** Where a process cannot be replaced: a child that gets our signals and gives us its end. */
function runAsChild([, ...rest]: readonly string[], environment: Record<string, string>): Promise<never> {
  const child = spawn(process.execPath, rest, { stdio: 'inherit', env: environment });
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`swarmrouter: could not start again with ${VARIABLE}: ${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const name of SIGNALS) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
  return new Promise<never>(() => undefined);
}
