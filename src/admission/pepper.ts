import { randomBytes } from 'node:crypto';
import { Secret } from '../core/secret.ts';

/** The file that holds the pepper, readable by its owner alone. */
export interface PepperFile {
  /** For messages. */
  readonly path: string;
  /** Null: there is none. */
  read(): Promise<string | null>;
  /** Makes it with its whole text; false: it exists already. */
  create(text: string): Promise<boolean>;
}

export interface Pepper {
  /** Hexadecimal. */
  readonly value: Secret;
  /** True: this call made it. Where client keys exist already, none of them opens anything any more. */
  readonly created: boolean;
}

const PEPPER_BYTES = 32;
const SHAPE = /^[0-9a-f]{64}$/;

/**
 * The pepper of the hashes of client keys, made at first use. Of several processes that start together, one makes it
 * and the others read that one.
 * @throws Error when the file cannot be used or does not hold a pepper; it names the file and the fix.
 */
export async function loadOrCreatePepper(file: PepperFile): Promise<Pepper> {
  const stored = await file.read();
  if (stored !== null) return { value: parse(stored, file.path), created: false };
  const made = randomBytes(PEPPER_BYTES).toString('hex');
  if (await file.create(`${made}\n`)) return { value: new Secret(made), created: true };
  const winners = await file.read();
  if (winners === null) throw new Error(`The file ${file.path} vanished while it was read. Start again.`);
  return { value: parse(winners, file.path), created: false };
}

function parse(text: string, path: string): Secret {
  const value = text.trim();
  if (SHAPE.test(value)) return new Secret(value);
  throw new Error(
    `The file ${path} does not hold what client keys are checked with (expected one line of 64 hexadecimal digits). ` +
      'Put it back from a backup: without it no client key opens anything. If there are none yet, delete the file.',
  );
}
