import { join } from 'node:path';
import { readPrivateFile, replacePrivateFile } from './private-file.ts';

/** A longer file is none of ours. */
export const MOST_LEARNED_BYTES = 16 * 1024 * 1024;

export interface LearnedFile {
  readonly path: string;
  /** What was kept; null: nothing. Rejects when the file cannot be read, is too long or is no JSON. */
  load(): Promise<unknown>;
  /** JSON in pieces, at most MOST_LEARNED_BYTES of it. */
  save(text: Iterable<string>): Promise<void>;
}

/** What traffic taught, in `<dataDir>/learned.json`: names of models and speeds, no text of any request. */
export function learnedFile(dataDir: string): LearnedFile {
  const path = join(dataDir, 'learned.json');
  return {
    path,
    async load() {
      const text = await readPrivateFile(path, MOST_LEARNED_BYTES);
      return text === null ? null : JSON.parse(text);
    },
    save: (text) => replacePrivateFile(path, text),
  };
}
