// The command `swarmrouter`. Nothing else may be loaded before the check: Bun's limit on fetches is read at its start.
import { relaunchIfNeeded } from './launch.ts';

await relaunchIfNeeded();
const { runProgram } = await import('./program.ts');
const { processTerminal } = await import('./terminal.ts');
process.exit(await runProgram(process.argv.slice(2), processTerminal()));
