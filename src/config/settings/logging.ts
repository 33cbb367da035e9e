import { boolean, choice, integer } from '../setting-kinds.ts';
import { setting } from './setting.ts';

/** What is told of requests. */
export const LOGGING = {
  logLevel: setting('SWARMROUTER_LOG_LEVEL', choice(['DEBUG', 'INFO', 'WARN', 'ERROR'], { warning: 'WARN' }), 'INFO', {
    restart: true,
    group: 'Logging',
    doc: 'Least important lines that are still written.',
  }),
  logRequests: setting('SWARMROUTER_LOG_REQUESTS', boolean, 'false', {
    restart: true,
    group: 'Logging',
    doc: 'Write request bodies to the log. They hold what people asked.',
  }),
  logResponses: setting('SWARMROUTER_LOG_RESPONSES', boolean, 'false', {
    restart: true,
    group: 'Logging',
    doc: 'Write reply bodies to the log. They hold what models answered.',
  }),
  decisions: setting('SWARMROUTER_DECISIONS', integer(0, 100_000), '1000', {
    restart: true,
    group: 'Logging',
    doc: 'Latest requests whose routing decision is kept in memory for `/admin/decisions`, without their words; 0 keeps none. Each takes a few kilobytes.',
  }),
} as const;
