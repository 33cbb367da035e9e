/** One desktop that serves a model. */
export interface NodeSpec {
  readonly name: string;
  /** Requests served at once; more wait in the server's own queue. */
  readonly slots: number;
  readonly prefillTokensPerSecond: number;
  /** Of one stream. */
  readonly decodeTokensPerSecond: number;
  /** How fast a stream is beside others: entry n for n + 1 streams, the last one for more. Default: no difference. */
  readonly decodeFactors?: readonly number[];
  /** One way. */
  readonly networkMs: number;
  /** The first request has the model loaded. Default: it is loaded. */
  readonly loadMs?: number;
  /** Some servers say in `usage` how much of a prompt they had; LM Studio does not. */
  readonly reportsCachedTokens: boolean;
}

/** A provider: never full, never free of charge. */
export interface CloudSpec {
  readonly name: string;
  readonly firstTokenMs: number;
  readonly decodeTokensPerSecond: number;
  readonly dollarsPerMillionIn: number;
  readonly dollarsPerMillionOut: number;
}

export interface Fleet {
  readonly name: string;
  readonly says: string;
  readonly nodes: readonly NodeSpec[];
  readonly clouds: readonly CloudSpec[];
}

const DESKTOP = { slots: 4, decodeTokensPerSecond: 40, networkMs: 1, reportsCachedTokens: false } as const;

function alike(count: number, prefillTokensPerSecond: number): NodeSpec[] {
  return Array.from({ length: count }, (_, at) => ({ ...DESKTOP, name: `desktop-${at + 1}`, prefillTokensPerSecond }));
}

function group(name: string, count: number, spec: Partial<NodeSpec> & { prefillTokensPerSecond: number }): NodeSpec[] {
  return Array.from({ length: count }, (_, at) => ({ ...DESKTOP, ...spec, name: `${name}-${at + 1}` }));
}

function uniform(count: number, prefillTokensPerSecond: number): Fleet {
  const name = `${count}x${prefillTokensPerSecond / 1000}k`;
  const speed = prefillTokensPerSecond.toLocaleString('en-US');
  return {
    name,
    says: `${count} desktops alike: ${DESKTOP.slots} slots, ${speed} tokens/s prefill, ${DESKTOP.decodeTokensPerSecond} tokens/s a stream`,
    nodes: alike(count, prefillTokensPerSecond),
    clouds: [],
  };
}

const MIXED: Fleet = {
  name: 'mixed',
  says: '3 fast desktops (12,000 tokens/s, 8 slots), 6 middling (6,000, 4 slots), 8 slow (2,000, 2 slots, streams slow each other down, model loaded in 9 s at the first request)',
  nodes: [
    ...group('fast', 3, {
      prefillTokensPerSecond: 12_000,
      decodeTokensPerSecond: 70,
      slots: 8,
      reportsCachedTokens: true,
    }),
    ...group('middling', 6, { prefillTokensPerSecond: 6_000, networkMs: 3 }),
    ...group('slow', 8, {
      prefillTokensPerSecond: 2_000,
      decodeTokensPerSecond: 25,
      slots: 2,
      networkMs: 5,
      decodeFactors: [1, 0.8],
      loadMs: 9_000,
    }),
  ],
  clouds: [],
};

export const CLOUD: CloudSpec = {
  name: 'cloud',
  firstTokenMs: 600,
  decodeTokensPerSecond: 80,
  dollarsPerMillionIn: 0.5,
  dollarsPerMillionOut: 1.5,
};

export const FLEETS: readonly Fleet[] = [uniform(12, 8_000), uniform(16, 4_000), uniform(24, 4_000), MIXED];

export function withCloud(fleet: Fleet, cloud: CloudSpec = CLOUD): Fleet {
  return {
    ...fleet,
    name: `${fleet.name} + ${cloud.name}`,
    says: `${fleet.says}; and a cloud: first token after ${cloud.firstTokenMs} ms, $${cloud.dollarsPerMillionIn} and $${cloud.dollarsPerMillionOut} per million tokens in and out`,
    clouds: [...fleet.clouds, cloud],
  };
}
