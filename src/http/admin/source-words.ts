import type { RoutingSource } from '../../core/routing.ts';
import type { TargetSource } from '../../core/target.ts';

const WORDS: Readonly<Record<RoutingSource | TargetSource, string>> = {
  admin: 'admin API',
  'command line': 'command line',
  environment: 'environment',
  '.env': '.env file',
  yaml: 'YAML file',
  found: 'search on this machine',
  'built in': 'program itself',
};

/** Where a target, alias or route comes from, for people: "from the …". */
export const sourceWords = (source: RoutingSource | TargetSource): string => WORDS[source];
