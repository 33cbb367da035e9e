import { seconds } from '../setting-kinds.ts';
import { A_DAY, optional, setting } from './setting.ts';

/** How long things may take. */
export const CLOCKS = {
  connectTimeoutMs: optional('SWARMROUTER_CONNECT_TIMEOUT', seconds(0.01, 600), 'unset: 2 local, 5 cloud', {
    group: 'Clocks',
    doc: 'Until the connection to a target stands.',
    example: '2',
  }),
  overflowTimeoutMs: setting('SWARMROUTER_OVERFLOW_TIMEOUT', seconds(0.1, A_DAY), '60', {
    group: 'Clocks',
    doc: 'How long a cloud provider may take to its first byte.',
  }),
  firstTokenTimeoutMs: optional('SWARMROUTER_FIRST_TOKEN_TIMEOUT', seconds(0.1, A_DAY), 'unset: 120 local, 60 cloud', {
    group: 'Clocks',
    doc: 'Until the first real content of a stream.',
    example: '120',
  }),
  idleTimeoutMs: optional('SWARMROUTER_IDLE_TIMEOUT', seconds(0.1, A_DAY), 'unset: 120 local, 30 cloud', {
    group: 'Clocks',
    doc: 'Between two chunks of a stream.',
    example: '120',
  }),
  queueTimeoutMs: setting('SWARMROUTER_QUEUE_TIMEOUT', seconds(0, A_DAY), '60', {
    group: 'Clocks',
    doc: 'How long a request may wait for a local slot.',
  }),
  warmupTimeoutMs: setting('SWARMROUTER_WARMUP_TIMEOUT', seconds(0.1, A_DAY), '180', {
    group: 'Clocks',
    doc: 'Until the first real content when the local model still has to be loaded.',
  }),
  cancelGraceMs: setting('SWARMROUTER_CANCEL_GRACE', seconds(0, 600), '2', {
    group: 'Clocks',
    doc: 'How long a slot of LM Studio stays counted after a request was cancelled before its first token: LM Studio reads a prompt to its end all the same.',
  }),
  requestTimeoutMs: setting('SWARMROUTER_REQUEST_TIMEOUT', seconds(0.1, A_DAY), '300', {
    group: 'Clocks',
    doc: 'One request in all, over every attempt, until its reply begins.',
  }),
  streamTimeoutMs: setting('SWARMROUTER_STREAM_TIMEOUT', seconds(1, A_DAY), '1800', {
    group: 'Clocks',
    doc: 'How long a stream that keeps producing may run.',
  }),
  clientStallMs: setting('SWARMROUTER_CLIENT_STALL_TIMEOUT', seconds(0.1, A_DAY), '60', {
    group: 'Clocks',
    doc: 'A client that takes nothing of its stream for this long is let go.',
  }),
  drainTimeoutMs: setting('SWARMROUTER_DRAIN_TIMEOUT', seconds(0, 3600), '30', {
    restart: true,
    group: 'Clocks',
    doc: 'How long requests in flight may finish after SIGTERM or SIGINT.',
  }),
} as const;
