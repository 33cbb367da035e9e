import { isAbsolute, relative } from 'node:path';
import type { Config } from './config/config.ts';

type Settings = Pick<Config, 'port' | 'host' | 'dataDir'>;

/** Why the gateway could not start, with the setting and the fix where one is known. Pure. */
export function startFailureText(error: unknown, { port, host, dataDir }: Settings): string {
  const { code, path } = faultOf(error);
  if (typeof path === 'string' && isWithin(path, dataDir)) {
    return `the data folder cannot be used: ${REASONS[code ?? ''] ?? messageOf(error)} (at ${path}). SWARMROUTER_DATA_DIR is ${dataDir}: it should be a folder that this user may read and write; one that is not there is made. Choose another, such as SWARMROUTER_DATA_DIR=~/swarmrouter, or put its rights right.`;
  }
  if (code === 'EADDRINUSE') {
    return `port ${port} on ${host} is in use. Stop what listens there, or choose another: SWARMROUTER_PORT=8001.`;
  }
  if (code === 'EACCES') return `port ${port} needs more rights. Choose one above 1023: SWARMROUTER_PORT=8000.`;
  return messageOf(error);
}

/** What the system says of a file, in words. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'this user has no right to it',
  EPERM: 'this user has no right to it',
  EROFS: 'its disk can only be read',
  ENOSPC: 'its disk is full',
  ENOTDIR: 'a part of its path is a file, not a folder',
  EEXIST: 'a file is where a folder should be',
  EISDIR: 'a folder is where a file should be',
  ELOOP: 'its symbolic links go in a circle',
  ENAMETOOLONG: 'its path is too long',
};

interface Fault {
  readonly code?: string;
  readonly path?: string;
}

function faultOf(error: unknown): Fault {
  return error instanceof Error ? (error as Fault) : {};
}

/** The folder itself, what is in it, or what it would be in: making it fails at one of its parents. */
function isWithin(path: string, folder: string): boolean {
  const below = (inner: string, outer: string): boolean => {
    const way = relative(outer, inner);
    return !way.startsWith('..') && !isAbsolute(way);
  };
  return below(path, folder) || below(folder, path);
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
