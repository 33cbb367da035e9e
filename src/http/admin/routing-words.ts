import type { RoutingSource } from '../../core/routing.ts';

export const ROUTING_SOURCES = [
  'admin',
  'command line',
  'environment',
  '.env',
  'yaml',
  'built in',
] as const satisfies readonly RoutingSource[];

/** Where an alias or route comes from, for people: "from the …". */
export function sourceWords(source: RoutingSource): string {
  const words: Readonly<Partial<Record<RoutingSource, string>>> = {
    admin: 'admin API',
    '.env': '.env file',
    yaml: 'YAML file',
    'built in': 'program itself',
  };
  return words[source] ?? source;
}

export const timeOf = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
