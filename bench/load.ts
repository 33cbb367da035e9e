/** The load generator: closed loop, open loop, and crowds of long streams, over raw sockets. */
import { HttpConnection } from './http-connection.ts';

export interface ClosedLoopResult {
  readonly requests: number;
  readonly errors: number;
  readonly elapsedMs: number;
}

/** The same bytes each time, or whatever is next. */
export type Requests = Buffer | (() => Buffer);

/** One after the other, and again from the first. */
export function inTurn(requests: readonly Buffer[]): () => Buffer {
  let turn = 0;
  return () => requests[turn++ % requests.length] as Buffer;
}

function nextOf(requests: Requests): Buffer {
  return typeof requests === 'function' ? requests() : requests;
}

/** `connections` clients; each sends its next request when the last was answered. */
export async function closedLoop(options: {
  readonly port: number;
  readonly request: Requests;
  readonly connections: number;
  readonly durationMs: number;
}): Promise<ClosedLoopResult> {
  const clients = await openConnections(options.port, options.connections);
  const startedAtMs = performance.now();
  const endAtMs = startedAtMs + options.durationMs;
  let requests = 0;
  let errors = 0;
  await Promise.all(
    clients.map(
      (client) =>
        new Promise<void>((resolve) => {
          const next = (): void => {
            if (performance.now() >= endAtMs || !client.usable) {
              resolve();
              return;
            }
            client.send(nextOf(options.request), {
              onEnd: (ok) => {
                if (ok) requests++;
                else errors++;
                next();
              },
            });
          };
          next();
        }),
    ),
  );
  const elapsedMs = performance.now() - startedAtMs;
  for (const client of clients) client.close();
  return { requests, errors, elapsedMs };
}

export interface OpenLoopResult {
  /** From the write of the request to the first bytes with a token; one per answered request. */
  readonly firstTokenMs: Float64Array;
  /** From the write of the request to the end of its reply, good or not; one per request that ended, ascending. */
  readonly wholeMs: Float64Array;
  readonly errors: number;
}

/**
 * Requests at random moments (exponential gaps), whether or not earlier ones were answered: a slow server cannot
 * slow the load down and so hide its own delays.
 */
export async function openLoop(options: {
  readonly port: number;
  readonly request: Requests;
  readonly perSecond: number;
  readonly durationMs: number;
  readonly random: () => number;
}): Promise<OpenLoopResult> {
  const idle = await openConnections(options.port, 32);
  const all = [...idle];
  const samples: number[] = [];
  const wholeMs: number[] = [];
  let errors = 0;
  let running = 0;
  const fire = async (): Promise<void> => {
    running++;
    let client = idle.pop();
    if (client === undefined || !client.usable) {
      client = await HttpConnection.open(options.port);
      all.push(client);
    }
    const connection = client;
    const sentAtMs = performance.now();
    connection.send(nextOf(options.request), {
      onFirstToken: () => samples.push(performance.now() - sentAtMs),
      onEnd: (ok) => {
        running--;
        wholeMs.push(performance.now() - sentAtMs);
        if (ok) idle.push(connection);
        else errors++;
      },
    });
  };
  const startedAtMs = performance.now();
  let dueMs = startedAtMs;
  for (;;) {
    const nowMs = performance.now();
    if (nowMs - startedAtMs >= options.durationMs) break;
    while (dueMs <= nowMs) {
      fire().catch(() => errors++);
      dueMs += (-Math.log(1 - options.random()) * 1000) / options.perSecond;
    }
    await Bun.sleep(1);
  }
  const giveUpAtMs = performance.now() + 5_000;
  while (running > 0 && performance.now() < giveUpAtMs) await Bun.sleep(5);
  for (const client of all) client.close();
  return {
    firstTokenMs: Float64Array.from(samples).sort(),
    wholeMs: Float64Array.from(wholeMs).sort(),
    errors: errors + running,
  };
}

/** Many streams that stay open until `close`. */
export class StreamCrowd {
  readonly #clients: HttpConnection[] = [];
  #begun = 0;
  #ended = 0;

  /** Opens `count` streams, `perSecond` of them a second, and waits until each has sent a token. */
  static async open(options: {
    readonly port: number;
    readonly request: Buffer;
    readonly count: number;
    readonly perSecond: number;
    readonly timeoutMs: number;
  }): Promise<StreamCrowd> {
    const crowd = new StreamCrowd();
    const startedAtMs = performance.now();
    for (let opened = 0; opened < options.count; ) {
      const wanted = Math.min(
        options.count,
        Math.ceil(((performance.now() - startedAtMs + 1) / 1000) * options.perSecond),
      );
      const batch = await openConnections(options.port, wanted - opened);
      for (const client of batch) crowd.#start(client, options.request);
      opened += batch.length;
      await Bun.sleep(2);
    }
    const giveUpAtMs = performance.now() + options.timeoutMs;
    while (crowd.#begun < options.count && performance.now() < giveUpAtMs) await Bun.sleep(5);
    return crowd;
  }

  #start(client: HttpConnection, request: Buffer): void {
    this.#clients.push(client);
    client.send(request, {
      onFirstToken: () => {
        this.#begun++;
      },
      onEnd: () => {
        this.#ended++;
      },
    });
  }

  /** Streams that have sent a token. */
  get begun(): number {
    return this.#begun;
  }

  /** Streams that ended by themselves: none should. */
  get ended(): number {
    return this.#ended;
  }

  /** Body bytes received by all, HTTP framing included. */
  get bytes(): number {
    return this.#clients.reduce((sum, client) => sum + client.bytes, 0);
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}

async function openConnections(port: number, count: number): Promise<HttpConnection[]> {
  return Promise.all(Array.from({ length: Math.max(0, count) }, () => HttpConnection.open(port)));
}
