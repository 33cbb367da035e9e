import { posix, win32 } from 'node:path';

export interface Machine {
  readonly platform: string;
  readonly homeDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const pathsOf = (platform: string) => (platform === 'win32' ? win32 : posix);

/** The platform's folder for a user's application data. */
export function defaultDataDir({ platform, homeDirectory, environment }: Machine): string {
  const path = pathsOf(platform);
  if (platform === 'win32') {
    return path.join(environment['LOCALAPPDATA'] || path.join(homeDirectory, 'AppData', 'Local'), 'swarmrouter');
  }
  if (platform === 'darwin') return path.join(homeDirectory, 'Library', 'Application Support', 'swarmrouter');
  const given = environment['XDG_DATA_HOME'];
  // The XDG specification says that a relative path there is to be ignored.
  const base = given !== undefined && path.isAbsolute(given) ? given : path.join(homeDirectory, '.local', 'share');
  return path.join(base, 'swarmrouter');
}

/** A path as a person writes it: `~/…` is the home folder, a relative one starts from `directory`. */
export function absolutePath(
  written: string,
  directory: string,
  machine: Pick<Machine, 'platform' | 'homeDirectory'>,
): string {
  const path = pathsOf(machine.platform);
  if (written === '~') return machine.homeDirectory;
  if (/^~[/\\]/.test(written)) return path.join(machine.homeDirectory, written.slice(2));
  return path.resolve(directory, written);
}
