import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Secret } from '../../core/secret.ts';
import { createPrivateFile, readPrivateFile, replacePrivateFile } from '../private-file.ts';
import { MasterKeys } from './envelope.ts';

const KEY_BYTES = 32;
const SHAPE = /^[0-9a-f]{64}$/;
const FILE = 'master-key';

/** Where master keys come from. */
export interface MasterKeySource {
  /** Made at first use where it is this gateway's own. */
  load(): Promise<MasterKeys>;
  /** Another one to seal with; those before it go on to open. Null: it is not this gateway's to change. */
  readonly renew: (() => Promise<MasterKeys>) | null;
  /** Forgets all but the newest. Call it when nothing is sealed with the others any more. */
  forgetOld(): Promise<void>;
}

/**
 * From `SWARMROUTER_MASTER_KEY`: one or several, the newest first.
 * @param dataDir where there may be a file of before that, whose keys go on to open; null: there is none
 */
export function givenMasterKeys(keys: readonly [Secret, ...Secret[]], dataDir: string | null = null): MasterKeySource {
  return {
    load: async () => {
      const path = dataDir === null ? null : join(dataDir, FILE);
      const text = path === null ? null : await readPrivateFile(path);
      return new MasterKeys(text === null || path === null ? keys : [...keys, ...parse(text, path)]);
    },
    renew: null,
    forgetOld: async () => undefined,
  };
}

/** `<dataDir>/master-key`: a line a key, the newest first. */
export function masterKeyFile(dataDir: string): MasterKeySource & { readonly path: string } {
  const path = join(dataDir, FILE);
  const read = async (): Promise<[Secret, ...Secret[]]> => {
    const made = randomBytes(KEY_BYTES).toString('hex');
    const text = (await readPrivateFile(path)) ?? ((await createPrivateFile(path, `${made}\n`)) ? made : null);
    // Another process made it at the same moment.
    return parse(text ?? (await readPrivateFile(path)) ?? '', path);
  };
  const write = (keys: readonly Secret[]): Promise<void> =>
    replacePrivateFile(path, keys.map((key) => `${key.reveal()}\n`).join(''));
  return {
    path,
    load: async () => new MasterKeys(await read()),
    renew: async () => {
      const keys: [Secret, ...Secret[]] = [new Secret(randomBytes(KEY_BYTES).toString('hex')), ...(await read())];
      // Before anything is sealed with it: a process that dies in between leaves all keys.
      await write(keys);
      return new MasterKeys(keys);
    },
    forgetOld: async () => {
      const [newest, ...old] = await read();
      if (old.length > 0) await write([newest]);
    },
  };
}

function parse(text: string, path: string): [Secret, ...Secret[]] {
  const [first, ...rest] = text.split('\n').filter((line) => line.trim() !== '');
  const lines = [first ?? '', ...rest].map((line) => line.trim());
  if (lines.every((line) => SHAPE.test(line))) {
    return [new Secret(lines[0] ?? ''), ...lines.slice(1).map((line) => new Secret(line))];
  }
  throw new Error(
    `The file ${path} does not hold what provider keys are sealed with (expected lines of 64 hexadecimal digits). ` +
      'Put it back from a backup: without it no provider key opens. If there are none yet, delete the file.',
  );
}
