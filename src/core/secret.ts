const values = new WeakMap<Secret, string>();

/**
 * A credential that cannot be printed by accident: strings, JSON and the inspector all show `[secret]`.
 * Only `reveal` gives the value, and only the code that attaches a credential to its own origin calls it.
 */
export class Secret {
  constructor(value: string) {
    values.set(this, value);
  }

  reveal(): string {
    return values.get(this) ?? '';
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]';
  }
}

/** What a person may see of a secret: enough to tell two apart (`sk-…9f3c`), never enough to use it. */
export function maskSecret(value: string): string {
  if (value.length < 12) return '…';
  return `${value.slice(0, 3)}…${value.slice(-4)}`;
}
