import { parseArgs } from 'node:util';

export const HELP = `Kills the whole gateway (kill -9) at random moments under load, starts it again on the same data, and looks whether
anything that a client was told is missing from the ledger, or was changed.

  npm run crash                       20 kills with a new seed, half of them with PostgreSQL where it is installed
  npm run crash -- --kills N          so many
  npm run crash -- --store sqlite     or postgres; default: both
  npm run crash -- --seed S           the same seed kills at the same moments of the load
  npm run crash -- --clients N        clients at once, default 24
  npm run crash -- --json             the result as JSON

Exit code 0: nothing was lost, altered or late; 1: something was; 2: a wrong flag.`;

export const STORES = ['sqlite', 'postgres'] as const;
export type StoreKind = (typeof STORES)[number];

export interface Flags {
  readonly kills: number;
  /** Null: each that there is. */
  readonly store: StoreKind | null;
  readonly seed: number;
  readonly clients: number;
  readonly json: boolean;
}

/** Null: help is asked for. Throws what is wrong with a flag. */
export function readFlags(args: readonly string[], nowMs: number): Flags | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kills: { type: 'string', default: '20' },
      store: { type: 'string' },
      seed: { type: 'string', default: String(nowMs % 1_000_000) },
      clients: { type: 'string', default: '24' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  const store = STORES.find((kind) => kind === values.store) ?? null;
  if (values.store !== undefined && store === null) {
    throw new Error(`--store is "${values.store}"; allowed: ${STORES.join(', ')}.`);
  }
  return {
    kills: whole('--kills', values.kills, 1, 100_000),
    store,
    seed: whole('--seed', values.seed, 0, 1e9),
    clients: whole('--clients', values.clients, 1, 1_000),
    json: values.json,
  };
}

function whole(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new Error(`${flag} is "${text}"; allowed: a whole number from ${least} to ${most}.`);
}
