import { scaledDecimal } from '../core/decimal.ts';
import { postgresAddress } from '../core/postgres-address.ts';
import { maskSecret, Secret } from '../core/secret.ts';
import { checkUrl, maskUserInfo } from './urls.ts';

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

/** How values of one type are read, written and described. */
export interface Kind<T> {
  readonly type: string;
  /** What is allowed, for errors and the settings page. */
  readonly allowed: string;
  /** What a flag takes, as help shows it. */
  readonly placeholder: string;
  readonly unit: string | null;
  readonly parse: (text: string) => Parsed<T>;
  /** The value as a person would write it; never an unmasked secret. */
  show(value: T): string;
  /** A wrong value as an error may show it. */
  readonly showSeen: (text: string) => string;
  /** How a wrong value is put right. Default: it is corrected. */
  readonly fix?: (name: string) => string;
  /** YAML's own form of several values. */
  readonly parseItems?: (items: readonly string[]) => Parsed<T>;
  readonly parsePairs?: (pairs: readonly (readonly [string, string])[]) => Parsed<T>;
}

const good = <T>(value: T): Parsed<T> => ({ ok: true, value });
const bad = (reason: string): { readonly ok: false; readonly reason: string } => ({ ok: false, reason });
const asIs = (text: string): string => text;

const hasControlCharacter = (text: string): boolean => /\p{Cc}/u.test(text);

export const text = (allowed: string, placeholder = 'text'): Kind<string> => ({
  type: 'string',
  allowed,
  placeholder,
  unit: null,
  parse: (value) => (hasControlCharacter(value) ? bad('it holds a control character') : good(value)),
  show: asIs,
  showSeen: asIs,
});

export const hostName: Kind<string> = {
  ...text('a host name or IP address without a port, such as 127.0.0.1, localhost, 0.0.0.0 or ::', 'host'),
  type: 'host',
  parse: (value) => {
    const bare = value.replace(/^\[(.*)\]$/, '$1');
    const isName = /^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?$/i.test(bare);
    const isIpv6 = bare.includes('::') || bare.split(':').length === 8;
    if (isName || (isIpv6 && /^[0-9a-f:.]+(%\w+)?$/i.test(bare))) return good(bare);
    return bad(/:\d+$/.test(bare) ? 'it holds a port; SWARMROUTER_PORT sets that' : 'it is not a host name');
  },
};

export const integer = (minimum: number, maximum: number, unit: string | null = null): Kind<number> => ({
  type: 'integer',
  allowed: `a whole number from ${minimum} to ${maximum}`,
  placeholder: 'number',
  unit,
  parse: (value) => {
    if (!/^[+-]?\d+$/.test(value)) return bad('it is not a whole number');
    const number = Number(value);
    if (number < minimum) return bad(`it is below ${minimum}`);
    return number > maximum ? bad(`it is above ${maximum}`) : good(number);
  },
  show: String,
  showSeen: asIs,
});

/** A number ≥ 0 with at most so many decimal places. */
export const decimal = (places: number, most: number, unit: string): Kind<number> => ({
  type: 'decimal',
  allowed: `a number from 0 to ${most.toLocaleString('en-US')}, at most ${places} decimal places`,
  placeholder: 'number',
  unit,
  parse: (value) => {
    const scaled = scaledDecimal(value, places);
    if (scaled === null) return bad('it is not a number of at least 0');
    if (!scaled.exact) return bad(`it has more than ${places} decimal places`);
    return scaled.value > most * 10 ** places ? bad(`it is above ${most}`) : good(Number(value));
  },
  show: String,
  showSeen: asIs,
});

/** Written in seconds, held in whole milliseconds. */
export const seconds = (minimum: number, maximum: number): Kind<number> => ({
  type: 'seconds',
  allowed: `seconds from ${minimum} to ${maximum}; fractions such as 0.5 are fine`,
  placeholder: 'seconds',
  unit: 's',
  parse: (value) => {
    if (/^\d+(\.\d+)?\s*(ms|s|m|min|h)$/i.test(value)) return bad('it has a unit; write the bare number of seconds');
    if (!/^[+-]?(\d+(\.\d*)?|\.\d+)$/.test(value)) return bad('it is not a number of seconds');
    const number = Number(value);
    if (number < minimum) return bad(`it is below ${minimum}`);
    return number > maximum ? bad(`it is above ${maximum}`) : good(Math.round(number * 1000));
  },
  show: (milliseconds) => String(milliseconds / 1000),
  showSeen: asIs,
});

const TRUE_WORDS = new Set(['true', '1', 'yes', 'on']);
const FALSE_WORDS = new Set(['false', '0', 'no', 'off']);

export const boolean: Kind<boolean> = {
  type: 'boolean',
  allowed: 'true or false (also 1/0, yes/no, on/off)',
  placeholder: 'true|false',
  unit: null,
  parse: (value) => {
    const word = value.toLowerCase();
    if (TRUE_WORDS.has(word)) return good(true);
    return FALSE_WORDS.has(word) ? good(false) : bad('it is neither true nor false');
  },
  show: String,
  showSeen: asIs,
};

/** Case does not matter; `also` maps other spellings to the listed ones. */
export const choice = <const T extends string>(
  values: readonly T[],
  also: Readonly<Record<string, T>> = {},
): Kind<T> => ({
  type: 'choice',
  allowed: `one of ${values.join(', ')}${values.some((value) => /[A-Z]/.test(value)) ? ' (upper or lower case)' : ''}`,
  placeholder: values.join('|'),
  unit: null,
  parse: (value) => {
    const word = value.toLowerCase();
    const found = values.find((candidate) => candidate.toLowerCase() === word) ?? also[word];
    return found === undefined ? bad('it is not one of the choices') : good(found);
  },
  show: asIs,
  showSeen: asIs,
});

/** What examples and guides write where a key belongs. Nobody's real key looks like this. */
const PLACEHOLDERS = [
  /^<.*>$/,
  /^\$\{?\w+\}?$/,
  /^(change|replace|fill|insert)[-_ ]?(me|this|it|in)([-_ ].*)?$/i,
  /^your[-_ ]/i,
  /^(sk|sk-or|sk-or-v1|sk-proj)[-_ ]?(\.{2,}|…|x{3,}|\*{3,}|your.*)$/i,
  /^(x{3,}|\*{3,}|\.{2,}|…)$/i,
  /^(todo|tbd|none|null|undefined|secret|password|passw0rd|letmein|admin|root|test|default|placeholder|example|api[-_ ]?key|key|token|digits)$/i,
  /[-_ ](here|goes[-_ ]here)$/i,
];

const realKey = (name: string): string => `put the real key there, or leave ${name} empty`;

export const secret: Kind<Secret> = {
  type: 'secret',
  allowed: 'the key itself, env:NAME (another variable holds it) or file:/path (a file holds it)',
  placeholder: 'key',
  unit: null,
  parse: (value) => {
    if (PLACEHOLDERS.some((pattern) => pattern.test(value))) {
      return bad('it is a placeholder from an example, not a real key');
    }
    // A header cannot carry these, and a pasted line break or a curly quote is the usual way they get in.
    if (!/^[\x21-\x7e]+$/.test(value)) return bad('a key holds only printable ASCII characters without spaces');
    return good(new Secret(value));
  },
  show: (value) => maskSecret(value.reveal()),
  showSeen: maskSecret,
  fix: realKey,
};

/** Its password makes it a secret. */
export const postgresUrl: Kind<Secret> = {
  ...secret,
  allowed:
    'postgres://user:password@host:5432/name, env:NAME (another variable holds it) or file:/path (a file holds it)',
  placeholder: 'url',
  parse: (value) => {
    if (!/^postgres(ql)?:\/\//i.test(value)) return bad('it must begin with postgres:// or postgresql://');
    const parsed = secret.parse(value);
    if (!parsed.ok) return parsed;
    return postgresAddress(value) !== null
      ? parsed
      : bad('it is no URL; in a user name or password write / as %2F, ? as %3F, # as %23, @ as %40 and : as %3A');
  },
  fix: (name) => `correct ${name}, or leave it empty for SQLite in the data folder`,
};

/** Below that a key can be found by trying. */
const LEAST_ADMIN_KEY = 16;
const MADE_BY_HAND = 'it repeats itself: nobody made it at random; make one with: openssl rand -hex 32';

/** The same again and again, as people write it who want to be done. */
const repeatsItself = (value: string): boolean => /^(.+?)\1+$/.test(value);

/** What opens everything. */
export const adminKey: Kind<Secret> = {
  ...secret,
  allowed: `at least ${LEAST_ADMIN_KEY} characters, env:NAME (another variable holds them) or file:/path (a file holds them)`,
  parse: (value) => {
    const parsed = secret.parse(value);
    if (!parsed.ok) return parsed;
    if (value.length < LEAST_ADMIN_KEY) {
      return bad(`it has ${value.length} characters: anybody finds it by trying; make one with: openssl rand -hex 32`);
    }
    return repeatsItself(value) ? bad(MADE_BY_HAND) : parsed;
  },
};

/** What client keys are hashed with. */
export const pepper: Kind<Secret> = {
  ...secret,
  allowed: '64 hexadecimal digits, env:NAME (another variable holds them) or file:/path (a file holds them)',
  placeholder: 'digits',
  parse: (value) => {
    if (!/^[0-9a-f]{64}$/i.test(value)) {
      return bad('it is not 64 hexadecimal digits; make them with: openssl rand -hex 32');
    }
    return repeatsItself(value) ? bad(MADE_BY_HAND) : good(new Secret(value.toLowerCase()));
  },
};

/** What provider keys are sealed with: one, or the new one and those before it. */
export const masterKeys: Kind<readonly [Secret, ...Secret[]]> = {
  type: secret.type,
  unit: null,
  allowed:
    '64 hexadecimal digits, or several such keys joined by commas, the newest first; env:NAME (another variable holds them) or file:/path (a file holds them)',
  placeholder: 'digits',
  parse: (value) => {
    const [first = '', ...rest] = value.toLowerCase().split(',');
    if (![first, ...rest].every((key) => /^[0-9a-f]{64}$/.test(key))) {
      return bad('each key should be 64 hexadecimal digits; make one with: openssl rand -hex 32');
    }
    if ([first, ...rest].some(repeatsItself)) return bad(MADE_BY_HAND);
    return good([new Secret(first), ...rest.map((key) => new Secret(key))]);
  },
  show: ([first]) => maskSecret(first.reveal()),
  showSeen: maskSecret,
  fix: realKey,
};

export const url: Kind<string> = {
  type: 'url',
  allowed: 'an http:// or https:// URL without user name, query and fragment',
  placeholder: 'url',
  unit: null,
  parse: (value) => {
    const checked = checkUrl(value);
    return checked.ok ? good(checked.url) : bad(checked.reason);
  },
  show: asIs,
  showSeen: maskUserInfo,
};

const parseItems =
  <T>(item: Kind<T>) =>
  (items: readonly string[]): Parsed<readonly T[]> => {
    const values: T[] = [];
    const reasons: string[] = [];
    for (const one of items) {
      const parsed = item.parse(one);
      if (parsed.ok) values.push(parsed.value);
      else reasons.push(items.length === 1 ? parsed.reason : `${JSON.stringify(item.showSeen(one))}: ${parsed.reason}`);
    }
    if (reasons.length > 0) return bad(reasons.join('; '));
    const shown = values.map(item.show);
    const twice = shown.find((value, index) => shown.indexOf(value) !== index);
    return twice === undefined ? good(values) : bad(`${JSON.stringify(twice)} is given twice`);
  };

const splitCommas = (value: string): string[] =>
  value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

/** Separated by commas in one value; a list in YAML. */
export const listOf = <T>(item: Kind<T>, type: string, allowed: string): Kind<readonly T[]> => ({
  type,
  allowed,
  placeholder: `${item.placeholder},…`,
  unit: null,
  parse: (value) => parseItems(item)(splitCommas(value)),
  show: (values) => values.map(item.show).join(','),
  showSeen: item.showSeen,
  parseItems: parseItems(item),
});

function parsePairs(pairs: readonly (readonly [string, string])[]): Parsed<ReadonlyMap<string, string>> {
  const map = new Map<string, string>();
  for (const [name, value] of pairs) {
    if (name === '' || value === '') return bad(`${JSON.stringify(`${name}=${value}`)} lacks a name or a value`);
    if (map.has(name)) return bad(`${JSON.stringify(name)} is given twice`);
    map.set(name, value);
  }
  return good(map);
}

/** `a=b,c=d` in one value (the first `=` divides); a mapping in YAML. */
export const mapping = (allowed: string): Kind<ReadonlyMap<string, string>> => ({
  type: 'map',
  allowed,
  placeholder: 'name=value,…',
  unit: null,
  parse: (value) => {
    const parts = splitCommas(value);
    const lacking = parts.find((part) => !part.includes('='));
    if (lacking !== undefined) return bad(`${JSON.stringify(lacking)} has no "="`);
    return parsePairs(
      parts.map((part) => {
        const at = part.indexOf('=');
        return [part.slice(0, at).trim(), part.slice(at + 1).trim()] as const;
      }),
    );
  },
  show: (map) => [...map].map(([name, value]) => `${name}=${value}`).join(','),
  showSeen: asIs,
  parsePairs,
});
