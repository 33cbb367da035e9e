/** Child processes on a core of their own, and what /proc says of them (Linux). */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Subprocess } from 'bun';

/** The core that the measured process has to itself. */
export const SUBJECT_CORE = 0;
/** The core of the load generator and the upstream. */
export const TOOLS_CORE = 1;

/** False: fewer than two cores, or no taskset; the figures are then noisier, and say so. */
export const canPin = availableParallelism() >= 2 && spawnSync('taskset', ['--version']).status === 0;

export interface SpawnOptions {
  readonly core: number;
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Its output goes to this file; default: stdout is piped, for the port it prints. */
  readonly outputFile?: string;
}

const STOP_WITHIN_MS = 5_000;

export class PinnedProcess {
  readonly child: Subprocess<'ignore', 'pipe' | Bun.BunFile, 'inherit' | Bun.BunFile>;

  constructor(command: readonly string[], options: SpawnOptions) {
    const pinned = canPin ? ['taskset', '-c', String(options.core), ...command] : command;
    const output = options.outputFile === undefined ? null : Bun.file(options.outputFile);
    this.child = Bun.spawn(
      // Thousands of sockets need more files than the usual soft limit of 1,024.
      ['/bin/sh', '-c', 'ulimit -n "$(ulimit -Hn)" 2>/dev/null; exec "$@"', 'sh', ...pinned],
      {
        stdin: 'ignore',
        stdout: output ?? 'pipe',
        stderr: output ?? 'inherit',
        env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...options.environment },
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      },
    );
  }

  get pid(): number {
    return this.child.pid;
  }

  /** The number that the process prints as its first line. */
  async printedPort(withinMs = 10_000): Promise<number> {
    const { stdout } = this.child;
    if (!(stdout instanceof ReadableStream)) throw new Error('the output of this process goes to a file');
    const reader = stdout.getReader();
    const timer = setTimeout(() => void reader.cancel(), withinMs);
    const { value } = await reader.read();
    clearTimeout(timer);
    const port = Number(new TextDecoder().decode(value).trim());
    if (!Number.isInteger(port) || port <= 0) throw new Error('the process did not print a port');
    return port;
  }

  /** SIGTERM, and SIGKILL for what is left 5 s later. */
  async stop(): Promise<void> {
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => {
      for (const pid of childrenOf(this.pid)) killQuietly(pid);
      this.child.kill('SIGKILL');
    }, STOP_WITHIN_MS);
    await this.child.exited;
    clearTimeout(timer);
  }
}

/** Moves this process with all its threads to the core of the tools. */
export function pinSelf(): void {
  if (canPin) execFileSync('taskset', ['-apc', String(TOOLS_CORE), String(process.pid)], { stdio: 'ignore' });
}

/** CPU time, user and system, all threads, in milliseconds (resolution: one clock tick, 10 ms). */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field, the name, may hold spaces: count from its closing bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / clockTicksPerSecond();
}

/** Resident memory in KB. */
export function rssKb(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (line === null) throw new Error(`process ${pid} has no VmRSS`);
  return Number(line[1]);
}

export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** How many files a process may have open here at most. */
export function openFilesLimit(): number {
  const limit = execFileSync('/bin/sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit);
}

let ticksPerSecond: number | null = null;
function clockTicksPerSecond(): number {
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return ticksPerSecond;
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
