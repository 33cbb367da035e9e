import { USD_A_KWH, WATTS } from '../../core/price-override.ts';
import { boolean, decimal, integer, mapping, masterKeys, pepper, postgresUrl } from '../setting-kinds.ts';
import { optional, setting } from './setting.ts';

/** What calls used and cost, and what is kept of it. */
export const USAGE = {
  usage: setting('SWARMROUTER_USAGE', boolean, 'false', {
    restart: true,
    group: 'Usage',
    doc: 'Keep what each upstream call used and cost, in a database: `swarmrouter usage`, `GET /admin/usage`. It holds no words of requests or answers.',
  }),
  budgetAnswerTokens: setting('SWARMROUTER_BUDGET_ANSWER_TOKENS', integer(256, 1_000_000, 'tokens'), '4096', {
    restart: true,
    group: 'Usage',
    doc: 'Under a hard budget: the most tokens of an answer whose length the client does not limit. So many are set aside before the call, and the server is asked for no more.',
  }),
  databaseUrl: optional('SWARMROUTER_DATABASE_URL', postgresUrl, 'unset: SQLite, in the data folder', {
    restart: true,
    group: 'Usage',
    doc: 'PostgreSQL instead of SQLite: `postgres://user:password@host:5432/name`.',
  }),
  keyPepper: optional(
    'SWARMROUTER_KEY_PEPPER',
    pepper,
    'unset: made with the first client key and kept in the data folder',
    {
      restart: true,
      group: 'Usage',
      doc: 'What client keys are hashed with. Several gateways on one PostgreSQL need the same one. Make it with `openssl rand -hex 32`, or take what the file `key-pepper` of the first gateway holds.',
    },
  ),
  masterKey: optional(
    'SWARMROUTER_MASTER_KEY',
    masterKeys,
    'unset: made with the first provider key and kept in the data folder',
    {
      restart: true,
      group: 'Server',
      doc: 'What the keys of providers that are given at run time are sealed with. Kept outside the data folder, a copy of that folder opens none of them. Make it with `openssl rand -hex 32`. To change it, put the new one and a comma before it and start again; then the old one may go.',
    },
  ),
  localWatts: optional(
    'SWARMROUTER_LOCAL_WATTS',
    decimal(WATTS.places, WATTS.most, 'W'),
    'unset: answers of local servers are free',
    {
      group: 'Usage',
      doc: 'What a local server draws while it writes one answer: with SWARMROUTER_KWH_USD the price of local answers. Servers that differ: `local_rates` in the YAML file.',
      example: '300',
    },
  ),
  kwhUsd: optional('SWARMROUTER_KWH_USD', decimal(USD_A_KWH.places, USD_A_KWH.most, 'USD'), 'unset', {
    group: 'Usage',
    doc: 'What a kilowatt-hour costs; goes with SWARMROUTER_LOCAL_WATTS.',
    example: '0.30',
  }),
  compareWith: optional(
    'SWARMROUTER_COMPARE_WITH',
    mapping('`local=cloud` pairs of models, separated by commas'),
    'unset: with a cloud model of the same name',
    {
      group: 'Usage',
      doc: 'Which cloud model a local one is compared with, for what it saved; `*` stands for all that have no other.',
      example: 'my-tune=openai/gpt-4o-mini,*=openai/gpt-4.1-nano',
    },
  ),
} as const;
