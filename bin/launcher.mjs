// Finds the Bun that npm installed and runs a script with it. Node only launches; see docs/adr/0001.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(realpathSync(fileURLToPath(import.meta.url))), '..');

/** How many fetches Bun may run at once; its own default of 256 would cap the gateway. */
export const MAX_HTTP_REQUESTS = '65336';

const executableName = process.platform === 'win32' ? 'bun.exe' : 'bun';

/**
 * The native binary is looked for before `bun/bin/bun`: with `npm ci --ignore-scripts` the latter is
 * a stub that only explains itself. node_modules may be ours or, when installed as a dependency, a parent's.
 */
function findBun() {
  for (let folder = root; ; folder = dirname(folder)) {
    const modules = join(folder, 'node_modules');
    const vendor = join(modules, '@oven');
    if (existsSync(vendor)) {
      for (const name of readdirSync(vendor).sort()) {
        const candidate = join(vendor, name, 'bin', executableName);
        if (existsSync(candidate)) return candidate;
      }
    }
    const installed = join(modules, 'bun', 'bin', 'bun.exe');
    if (existsSync(installed)) return installed;
    if (dirname(folder) === folder) return null;
  }
}

/** Runs `bun ...args`, passes on signals, and exits as the child did. */
export function runWithBun(args) {
  const bun = findBun();
  if (bun === null) {
    console.error(
      'swarmrouter: the Bun runtime is missing from node_modules.\nFix: run `npm ci` (it brings Bun from npm).',
    );
    process.exit(1);
  }
  const env = { ...process.env };
  if (!env.BUN_CONFIG_MAX_HTTP_REQUESTS) env.BUN_CONFIG_MAX_HTTP_REQUESTS = MAX_HTTP_REQUESTS;
  // So that the child notices when we are killed without a chance to pass it on.
  env.LAUNCHER_PID = String(process.pid);
  const child = spawn(bun, args, { stdio: 'inherit', env });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'];
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  if (process.env.npm_lifecycle_event && process.platform !== 'win32') stopWithParent(child);
  child.on('error', (error) => {
    console.error(`swarmrouter: could not start Bun at ${bun}: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    // Die of the same signal, so that a supervisor sees the truth.
    for (const name of signals) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
}

/**
 * Under `npm start` a signal to npm reaches only the shell between it and us, which dies without passing it on. That
 * shows as a new parent: what would then hold the port as an orphan is asked to end.
 */
function stopWithParent(child) {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) child.kill('SIGTERM');
  }, PARENT_CHECK_MS).unref();
}

const PARENT_CHECK_MS = 500;

export const inPackage = (...path) => join(root, ...path);
