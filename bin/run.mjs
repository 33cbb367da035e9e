#!/usr/bin/env node
// Runs a script of this package, or a Bun command such as `test`, with the Bun that npm installed.
import { existsSync } from 'node:fs';
import { inPackage, runWithBun } from './launcher.mjs';

// Bun's own limit of 5 s judges the machine, not the code, where a busy one runs thousands of operations against a
// real database. This one only ends what hangs; a `--timeout` among the arguments comes later and wins.
const TEST_TIMEOUT_MS = '60000';

const [first, ...rest] = process.argv.slice(2);
runWithBun(
  first !== undefined && existsSync(inPackage(first)) && first.endsWith('.ts')
    ? [inPackage(first), ...rest]
    : [first, ...(first === 'test' ? ['--timeout', TEST_TIMEOUT_MS] : []), ...rest],
);
