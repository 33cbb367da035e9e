import { join } from 'node:path';
import { createPrivateFile, readPrivateFile } from './private-file.ts';

/** Where what client keys are checked with is kept, apart from the store: `<dataDir>/key-pepper`. */
export function pepperFile(dataDir: string) {
  const path = join(dataDir, 'key-pepper');
  return {
    path,
    read: () => readPrivateFile(path),
    create: (text: string) => createPrivateFile(path, text),
  };
}
