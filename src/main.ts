import { writeSync } from 'node:fs';
import type { Config, LoadAnew } from './config/config.ts';
import { describeProblem } from './config/problem.ts';
import { createGateway, type Gateway } from './gateway.ts';
import { startFailureText } from './start-failure.ts';
import { startupLines } from './startup-lines.ts';
import { watchTerminal } from './terminal-hangup.ts';
import { VERSION } from './version.ts';

const [STDOUT, STDERR] = [1, 2];

/** Two signals closer than this are one: a terminal sends Ctrl-C to the launcher and to us. */
const SAME_SIGNAL_MS = 1_000;

/** Process entry: starts the gateway, tells what it found, and drains on SIGTERM or SIGINT. Resolves with the exit code. */
export async function main(config: Config, load: LoadAnew): Promise<number> {
  let gateway: Gateway;
  try {
    gateway = await createGateway(config, { load });
  } catch (error) {
    tell([`swarmrouter could not start: ${startFailureText(error, config)}`]);
    return 1;
  }
  const stopped = untilStopped(gateway, config.drainTimeoutMs);
  tell([`SwarmRouter ${VERSION} listens on ${displayUrl(config, gateway)}`]);
  const longestConnectMs = Math.max(0, ...config.targets.map((target) => target.clocks.connectMs));
  await Promise.race([gateway.probed(longestConnectMs), stopped]);
  tell(
    startupLines({
      targets: gateway.targets(),
      config,
      newAdminKeyPath: gateway.newAdminKeyPath,
      credentialNeeded: gateway.credentialNeeded(),
      url: displayUrl(config, gateway),
    }),
  );
  return stopped;
}

/** Readable lines for a person: beside the JSON log lines when stdout is not a terminal. */
function tell(lines: readonly string[]): void {
  try {
    // Not through process.stderr: its failed writes surface as faults that nobody caught.
    writeSync(process.stdout.isTTY ? STDOUT : STDERR, lines.map((line) => `${line}\n`).join(''));
  } catch {
    // Nobody reads it any more (`swarmrouter start 2>&1 | head`): no reason to end.
  }
}

function displayUrl(config: Config, gateway: Gateway): string {
  return config.host === '127.0.0.1' ? `http://localhost:${gateway.port}` : gateway.url;
}

/** SIGHUP: what operators send to have a configuration read anew. */
function tellReload(gateway: Gateway): void {
  const result = gateway.reload();
  if (result.ok) tell(['SIGHUP: the configuration was read anew and is in force']);
  else
    tell(['SIGHUP: the configuration is wrong, the old one stays in force', ...result.problems.map(describeProblem)]);
}

/** A warning of the runtime's own that nobody reads any more. */
function isUnreadOutput(fault: unknown): boolean {
  return fault instanceof Error && 'code' in fault && fault.code === 'EPIPE';
}

const LAUNCHER_CHECK_MS = 500;

/** A launcher that is killed cannot pass it on: without it nobody would stop us, and we would keep the port. */
function onLauncherGone(run: () => void): void {
  if (process.env['LAUNCHER_PID'] !== String(process.ppid)) return;
  const launcher = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === launcher) return;
    clearInterval(timer);
    run();
  }, LAUNCHER_CHECK_MS);
  timer.unref();
}

function untilStopped(gateway: Gateway, graceMs: number): Promise<number> {
  return new Promise((resolve) => {
    let firstAtMs: number | null = null;
    let exitCode = 0;
    const stop = (why: string): void => {
      firstAtMs = performance.now();
      tell([`${why}: finishing running requests (at most ${graceMs / 1000} s; send it again to stop at once)`]);
      void gateway.stop(graceMs).then(
        () => resolve(exitCode),
        (error) => {
          tell([`stopping failed: ${String(error)}`]);
          resolve(1);
        },
      );
    };
    const onSignal = (signal: string): void => {
      if (firstAtMs === null) stop(signal);
      else if (performance.now() - firstAtMs > SAME_SIGNAL_MS) resolve(exitCode);
    };
    // What nobody caught leaves the process in an unknown state: it finishes what runs, and ends as failed.
    const onFault = (fault: unknown): void => {
      if (isUnreadOutput(fault)) return;
      exitCode = 1;
      tell([`internal error, please report it: ${fault instanceof Error ? fault.stack : String(fault)}`]);
      if (firstAtMs === null) stop('internal error');
    };
    onLauncherGone(() => onSignal('the launcher was killed'));
    const isHungUp = watchTerminal();
    process.on('SIGHUP', () => (isHungUp() ? onSignal('the terminal was closed') : tellReload(gateway)));
    process.on('SIGTERM', () => onSignal('SIGTERM'));
    process.on('SIGINT', () => onSignal('SIGINT'));
    process.on('uncaughtException', onFault);
    process.on('unhandledRejection', onFault);
  });
}
