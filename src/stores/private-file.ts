import { randomBytes } from 'node:crypto';
import { chmod, type FileHandle, link, mkdir, open, readFile, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';

const OWNER_ONLY_FILE = 0o600;
const OWNER_ONLY_FOLDER = 0o700;

/** Makes the folder, and the ones above it, readable by its owner alone. A folder that exists is left as it is. */
export async function makePrivateFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: OWNER_ONLY_FOLDER });
}

/**
 * The file's text, or null when it does not exist. A file that others could read is closed to them first.
 * @param mostBytes a longer one is not read: rejects
 */
export async function readPrivateFile(path: string, mostBytes = Number.POSITIVE_INFINITY): Promise<string | null> {
  try {
    const { mode, size } = await stat(path);
    if (size > mostBytes) throw new Error(`it has ${size} bytes; at most ${mostBytes} are read`);
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) await chmod(path, OWNER_ONLY_FILE);
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
}

/**
 * Replaces the file in one step: after a crash or a full disk there is the old text or the new one, never a mixture.
 * Text in pieces is made while it is written, so that other work goes on meanwhile.
 */
export async function replacePrivateFile(path: string, text: string | Iterable<string>): Promise<void> {
  const temporary = await writeTemporary(path, text);
  try {
    await rename(temporary, path);
  } catch (error) {
    await discard(temporary);
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Makes the file with its whole text unless it exists already; of several racing processes exactly one gets `true`. */
export async function createPrivateFile(path: string, text: string): Promise<boolean> {
  const temporary = await writeTemporary(path, text);
  try {
    // A rename would overwrite the winner's file; a hard link fails when the name is taken.
    await link(temporary, path);
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await discard(temporary);
  }
  await syncFolder(dirname(path));
  return true;
}

async function writeTemporary(path: string, text: string | Iterable<string>): Promise<string> {
  await makePrivateFolder(dirname(path));
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx', OWNER_ONLY_FILE);
    try {
      if (typeof text === 'string') await file.writeFile(text);
      else await writeSlices(file, text);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    await discard(temporary);
    throw error;
  }
  return temporary;
}

/** Characters of one write: making them takes a millisecond or two. */
const SLICE_LENGTH = 32 * 1024;

async function writeSlices(file: FileHandle, text: Iterable<string>): Promise<void> {
  for (const slice of inSlices(text)) {
    await file.appendFile(slice);
    // A quick disk is done before anything else had its turn.
    await setImmediate();
  }
}

function* inSlices(pieces: Iterable<string>): Generator<string> {
  let slice = '';
  for (const piece of pieces) {
    slice += piece;
    if (slice.length < SLICE_LENGTH) continue;
    yield slice;
    slice = '';
  }
  yield slice;
}

/** Without it a rename may be undone by a power cut. Windows cannot open a folder and does not need it. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function discard(path: string): Promise<void> {
  await unlink(path).catch(() => undefined);
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
