import { closeSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

const OWN_FILES = '/proc/self/fd';

/** Closes a file of this process behind the back of whoever has it open: as with a lost disk, whatever is done with it fails. Linux only. */
export function closeUnderneath(path: string): void {
  const open = readdirSync(OWN_FILES).filter((descriptor) => target(descriptor) === path);
  if (open.length === 0) throw new Error(`${path} is not open`);
  for (const descriptor of open) closeSync(Number(descriptor));
}

function target(descriptor: string): string | null {
  try {
    return readlinkSync(join(OWN_FILES, descriptor));
  } catch {
    return null;
  }
}
