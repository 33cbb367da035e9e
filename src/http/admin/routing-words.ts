import type { RoutingSource } from '../../core/routing.ts';

export const ROUTING_SOURCES = [
  'admin',
  'command line',
  'environment',
  '.env',
  'yaml',
  'built in',
] as const satisfies readonly RoutingSource[];

export const timeOf = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
