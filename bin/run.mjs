#!/usr/bin/env node
// Runs a script of this package, or a Bun command such as `test`, with the Bun that npm installed.
import { existsSync } from 'node:fs';
import { inPackage, runWithBun } from './launcher.mjs';

const [first, ...rest] = process.argv.slice(2);
runWithBun(
  first !== undefined && existsSync(inPackage(first)) && first.endsWith('.ts')
    ? [inPackage(first), ...rest]
    : [first, ...rest],
);
