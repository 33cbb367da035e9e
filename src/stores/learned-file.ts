import { join } from 'node:path';
import { readPrivateFile, replacePrivateFile } from './private-file.ts';

/** Megabytes of measurements are none of ours. Characters. */
const MOST_TEXT = 16 * 1024 * 1024;

export interface LearnedFile {
  readonly path: string;
  /** What was kept; null: nothing. Rejects when the file cannot be read or is no JSON. */
  load(): Promise<unknown>;
  save(learned: unknown): Promise<void>;
}

/** What traffic taught, in `<dataDir>/learned.json`: names of models and speeds, no text of any request. */
export function learnedFile(dataDir: string): LearnedFile {
  const path = join(dataDir, 'learned.json');
  return {
    path,
    async load() {
      const text = await readPrivateFile(path);
      if (text === null) return null;
      if (text.length > MOST_TEXT) throw new Error(`it has ${text.length} characters`);
      return JSON.parse(text);
    },
    save: (learned) => replacePrivateFile(path, JSON.stringify(learned)),
  };
}
