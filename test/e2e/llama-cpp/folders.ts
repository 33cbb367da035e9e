import { accessSync, constants, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { PINS } from './pins.ts';

const CHECKOUT = resolve(import.meta.dir, '..', '..', '..');

/**
 * The folder that keeps the model and the servers between runs: in the user's cache, so that a second checkout
 * finds them; in the checkout's own ignored `.cache/` where the user's cache cannot be written.
 */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const userCache = environment['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  const version = `model-${PINS.model.version}_wheel-${PINS.serverWheel.version}_source-${PINS.serverSource.version}`;
  for (const base of [join(userCache, 'swarmrouter-e2e'), join(CHECKOUT, '.cache', 'e2e')]) {
    const folder = join(base, version);
    if (canWrite(folder)) return folder;
  }
  throw new Error('neither the user cache nor the .cache folder of the checkout can be written');
}

function canWrite(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
