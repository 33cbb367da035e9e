import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { canPin } from './process.ts';
import type { BenchResult } from './result.ts';

const ROOT = join(import.meta.dir, '..');

export function describeMachine(): BenchResult['machine'] {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() || 'unknown',
    cores: processors.length,
    memoryMb: Math.round(totalmem() / 1024 / 1024),
    // Major and minor: the rest names a build, not a behaviour.
    kernel: /^\d+\.\d+/.exec(release())?.[0] ?? release(),
    pinned: canPin,
    loadBefore: loadavg()[0] ?? Number.NaN,
  };
}

export function describeVersions(): BenchResult['versions'] {
  const own = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const node = execFileSync('node', ['--version'], { encoding: 'utf8' }).trim().replace(/^v/, '');
  return { swarmrouter: own.version, bun: Bun.version, node };
}

/** By the benchmarks themselves. */
const WRITTEN = ['bench/results', 'bench/routing/results', 'docs/benchmarks.md', 'docs/routing-*'];

export function describeCommit(): string | null {
  if (!existsSync(join(ROOT, '.git'))) return null;
  try {
    const git = (...args: string[]): string => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
    const changed = git('status', '--porcelain', '--', '.', ...WRITTEN.map((path) => `:!${path}`)) !== '';
    return git('rev-parse', '--short', 'HEAD') + (changed ? '+changes' : '');
  } catch {
    return null;
  }
}
