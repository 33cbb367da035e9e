#!/usr/bin/env node
import { inPackage, runWithBun } from './launcher.mjs';

runWithBun(['--no-env-file', inPackage('src', 'cli', 'index.ts'), ...process.argv.slice(2)]);
