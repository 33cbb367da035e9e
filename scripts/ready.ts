// `npm run ready`: everything that must be green before a commit to main, in one command.
import { join } from 'node:path';

interface Step {
  readonly name: string;
  readonly command: readonly string[];
}

const root = join(import.meta.dir, '..');
const node = ['node'];
const inModules = (...path: string[]): string => join(root, 'node_modules', ...path);

const STEPS: readonly Step[] = [
  { name: 'types', command: [...node, inModules('typescript', 'bin', 'tsc'), '-p', '.'] },
  {
    name: 'lint',
    command: [...node, inModules('@biomejs', 'biome', 'bin', 'biome'), 'check', '.', '--error-on-warnings'],
  },
  {
    name: 'import rules',
    command: [
      ...node,
      inModules('dependency-cruiser', 'bin', 'dependency-cruise.mjs'),
      ...['--config', '.dependency-cruiser.cjs', 'src', 'simulators', 'test', 'bench', 'chaos', 'scripts'],
    ],
  },
  { name: 'generated documents', command: [process.execPath, 'scripts/generate-docs.ts', '--check'] },
  { name: 'tests', command: [...node, 'bin/run.mjs', 'test', ...testFolders()] },
];

/** The folders of `npm test`, so that the two cannot drift apart. */
function testFolders(): string[] {
  const manifest = require(join(root, 'package.json')) as { scripts: { test: string } };
  return manifest.scripts.test.split(' ').slice(3);
}

async function run({ name, command }: Step): Promise<boolean> {
  const startedAtMs = performance.now();
  process.stdout.write(`· ${name} …\n`);
  const child = Bun.spawn({ cmd: [...command], cwd: root, stdout: 'pipe', stderr: 'pipe' });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
  if (exitCode !== 0) process.stdout.write(`${stdout}${stderr}\n`);
  const summary = name === 'tests' ? ` (${countOf(stderr + stdout)})` : '';
  process.stdout.write(`${exitCode === 0 ? '✔' : '✘'} ${name}${summary}, ${seconds} s\n`);
  return exitCode === 0;
}

function countOf(output: string): string {
  return [/^\s*\d+ pass$/m, /^\s*\d+ fail$/m, /^\s*\d+ skip$/m]
    .map((pattern) => pattern.exec(output)?.[0].trim() ?? '')
    .filter(Boolean)
    .join(', ');
}

let failed = 0;
for (const step of STEPS) if (!(await run(step))) failed++;
process.stdout.write(failed === 0 ? 'ready\n' : `not ready: ${failed} of ${STEPS.length} steps failed\n`);
// Not process.exit: what a pipe has not taken yet would be lost.
process.exitCode = failed === 0 ? 0 : 1;
