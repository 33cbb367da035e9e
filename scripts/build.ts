// Makes the single executable and checks that it works: `npm run build [-- --outfile=<path>]`.
import { mkdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { smokeTest } from './smoke.ts';

const root = join(import.meta.dir, '..');
const suffix = process.platform === 'win32' ? '.exe' : '';

/** Compiles the gateway for this platform into one file, with nothing else to install. */
export async function buildExecutable(outfile: string): Promise<string> {
  mkdirSync(dirname(outfile), { recursive: true });
  const result = await Bun.build({
    // Threads have a file of their own; each is found by its path below src (see src/stores/sqlite/client.ts).
    entrypoints: [join(root, 'src', 'cli', 'index.ts'), join(root, 'src', 'stores', 'sqlite', 'thread.ts')],
    minify: true,
    // Errors in logs should name our functions.
    sourcemap: 'inline',
    // The gateway reads `.env` itself: only so can it tell its lines and sources.
    compile: { outfile, autoloadDotenv: false, autoloadBunfig: false },
  });
  if (!result.success) throw new AggregateError(result.logs, 'the executable could not be built');
  return outfile;
}

if (import.meta.main) {
  const given = process.argv.find((word) => word.startsWith('--outfile='))?.slice('--outfile='.length);
  const outfile = await buildExecutable(resolve(given ?? join(root, 'dist', `swarmrouter${suffix}`)));
  const report = await smokeTest([outfile]);
  const megabytes = Math.round(statSync(outfile).size / 1e6);
  console.log(`${outfile}: version ${report.version}, ${megabytes} MB; it serves /health and ends cleanly.`);
}
