export interface SecretPlaces {
  /** A variable by name, from the environment or `.env`; null: unset. */
  readonly variable: (name: string) => string | null;
  /** The text of a file; null: there is none. May throw. */
  readonly readFile: (path: string) => string | null;
}

export type Resolved = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly reason: string };

/** Follows `env:NAME` and `file:/path`; any other text is the secret itself. */
export function resolveSecret(written: string, places: SecretPlaces): Resolved {
  if (written.startsWith('env:')) {
    const name = written.slice('env:'.length);
    const value = places.variable(name);
    return value === null ? { ok: false, reason: `the variable ${name} is not set` } : { ok: true, text: value };
  }
  if (written.startsWith('file:'))
    return readSecretFile(written.slice('file:'.length).replace(/^\/\/(?=\/)/, ''), places);
  return { ok: true, text: written };
}

function readSecretFile(path: string, places: SecretPlaces): Resolved {
  try {
    const text = places.readFile(path)?.trim();
    if (text === undefined) return { ok: false, reason: `there is no file ${path}` };
    return text === '' ? { ok: false, reason: `the file ${path} is empty` } : { ok: true, text };
  } catch (error) {
    return { ok: false, reason: `the file ${path} cannot be read (${error instanceof Error ? error.message : error})` };
  }
}

/** Is this only the name of a place, which may be shown? */
export const isSecretReference = (written: string): boolean => /^(env:[A-Za-z_]\w*|file:.+)$/.test(written);
