import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Mutant } from './find.ts';

/** Far more than any of the tests takes: what is still running then hangs. */
const HANGS_AFTER_MS = 600_000;

/** Where the tests of the whole gateway are, with clocks that run. */
const OF_THE_WHOLE = 'test/integration/';

/** The test that failed, and what it is called; null: all passed. */
export type Failure = { readonly file: string; readonly name: string } | null;

/**
 * A copy of the sources that may be spoilt, as they are when it is made. SQLite alone: the statements of both databases
 * come from the same lines.
 */
export class SpoiltCopy {
  readonly #folder: string;

  constructor(root: string) {
    this.#folder = mkdtempSync(join(tmpdir(), 'swarmrouter-mutants-'));
    for (const name of ['src', 'test', 'simulators', 'bin', 'package.json', 'tsconfig.json']) {
      cpSync(join(root, name), join(this.#folder, name), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(this.#folder, 'node_modules'));
    this.#leaveOutPostgres();
  }

  read(path: string): string {
    return readFileSync(join(this.#folder, path), 'utf8');
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Without the check, while the tests run. */
  async failureWithout({ path, start, end, replacement }: Mutant, tests: readonly string[]): Promise<Failure> {
    const whole = this.read(path);
    writeFileSync(join(this.#folder, path), `${whole.slice(0, start)}${replacement}${whole.slice(end)}`);
    try {
      return await this.failureOf(tests);
    } finally {
      writeFileSync(join(this.#folder, path), whole);
    }
  }

  /** Of the first that fails. On a busy machine a test of the whole gateway may fail by chance: it has to do so twice. */
  async failureOf(tests: readonly string[]): Promise<Failure> {
    for (const file of tests) {
      const first = await this.#failureIn(file);
      const failure = first !== null && file.startsWith(OF_THE_WHOLE) ? await this.#failureIn(file) : first;
      if (failure !== null) return failure;
    }
    return null;
  }

  async #failureIn(file: string): Promise<Failure> {
    const child = Bun.spawn({
      cmd: [process.execPath, 'test', '--bail', '--timeout', '60000', file],
      ...{ cwd: this.#folder, stdout: 'ignore', stderr: 'pipe', timeout: HANGS_AFTER_MS },
      env: { ...process.env, CI: 'true' },
    });
    const text = await new Response(child.stderr).text();
    if ((await child.exited) === 0) return null;
    const name = /^\(fail\) (.*?)(?: \[[\d.]+m?s\])?$/m.exec(text)?.[1];
    return { file, name: name ?? 'its tests did not run to their end' };
  }

  #leaveOutPostgres(): void {
    const path = join(this.#folder, 'test/support/postgres-server.ts');
    const text = readFileSync(path, 'utf8');
    const skipping = text.replace('const programs = findPrograms();', "return skipped('it is left out here');\n$&");
    if (skipping === text) throw new Error('test/support/postgres-server.ts begins in another way now');
    writeFileSync(path, skipping);
  }
}
