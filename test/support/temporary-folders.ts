import { afterAll } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Makes empty folders for the tests of a file and removes them after the last. Call it once at the top of the file. */
export function temporaryFolders(name: string): () => Promise<string> {
  const made: string[] = [];
  afterAll(() => Promise.all(made.map((folder) => rm(folder, { recursive: true, force: true }))));
  return async () => {
    const folder = await mkdtemp(join(tmpdir(), `swarmrouter-${name}-`));
    made.push(folder);
    return folder;
  };
}
