import { parseArgs } from 'node:util';

export const HELP = `Random faults of every kind at nine servers of every wire, behind a real gateway; nothing may be lost, doubled,
mixed up, left hanging, cut in silence, or failed although another server could have answered.

  npm run chaos                                   20,000 requests with a new seed
  npm run chaos -- --requests N --seed S          N requests; the same seed makes the same requests and faults
  npm run chaos -- --soak SECONDS                 then load at a steady rate for so long, 10 or more: memory must stay flat
  npm run chaos -- --only N,N --seed S            these requests of a run, one after the other, all servers undisturbed
  npm run chaos -- --clients N                    clients at once, default 96
  npm run chaos -- --faults SHARE                 share of the requests that meet a fault at a given server, default 0.25
  npm run chaos -- --log FILE                     the gateway's log; the request_id of request N is chaos-N
  npm run chaos -- --json                         the result as JSON

Exit code 0: every count that must be 0 is; 1: not; 2: a wrong flag. What is counted: docs/operations/chaos.md`;

export interface Flags {
  readonly requests: number;
  readonly seed: number;
  /** 0: no soak. */
  readonly soakSeconds: number;
  readonly clients: number;
  /** 0 to 1. */
  readonly faults: number;
  /** Null: all of them. */
  readonly only: readonly number[] | null;
  /** Null: none is written. */
  readonly log: string | null;
  readonly json: boolean;
}

const LEAST_SOAK_SECONDS = 10;

/** Null: help is asked for. Throws what is wrong with a flag. */
export function readFlags(args: readonly string[], nowMs: number): Flags | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      requests: { type: 'string', default: '20000' },
      seed: { type: 'string', default: String(nowMs % 1_000_000) },
      soak: { type: 'string', default: '0' },
      clients: { type: 'string', default: '96' },
      faults: { type: 'string', default: '0.25' },
      only: { type: 'string' },
      log: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  const only = values.only?.split(',').map((text) => whole('--only', text, 0, 1e9)) ?? null;
  const soakSeconds = values.soak === '0' ? 0 : whole('--soak', values.soak, LEAST_SOAK_SECONDS, 1e6);
  return {
    requests: only?.length ?? whole('--requests', values.requests, 0, 1e9),
    seed: whole('--seed', values.seed, 0, 1e9),
    soakSeconds,
    clients: only === null ? whole('--clients', values.clients, 1, 10_000) : 1,
    faults: share('--faults', values.faults),
    only,
    log: values.log ?? null,
    json: values.json,
  };
}

function whole(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new Error(`${flag} is "${text}"; allowed: a whole number from ${least} to ${most}.`);
}

function share(flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 1) return value;
  throw new Error(`${flag} is "${text}"; allowed: a number from 0 to 1.`);
}
