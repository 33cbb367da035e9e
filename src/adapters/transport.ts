import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';
import type { Target } from '../core/target.ts';
import type { VettedAddresses } from './address-guard.ts';
import type { AttemptWatch } from './attempt-watch.ts';
import { startConnectCheck } from './connect-check.ts';
import { type Dial, dialsFor } from './dial.ts';
import { IdleConnections, type SentMark } from './idle-connections.ts';
import { goesThroughProxy } from './proxy-rules.ts';
import { SendingTurns } from './sending-turns.ts';
import { isNotConnected, isReset, socketFault } from './socket-faults.ts';
import { UpstreamBody } from './upstream-body.ts';
import { type HostTools, VettedHosts } from './vetted-hosts.ts';

export interface TransportCall {
  readonly target: Target;
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array | null;
}

export interface TransportReply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: UpstreamBody;
}

/** An origin that delivered something this recently is connectable: no check beside the call. */
const ORIGIN_FRESH_MS = 2_000;
/**
 * A reset within this time of sending, on a connection that may have been used before, is taken for the keep-alive
 * race (faults F-33, ADR 0009): the server closed its idle socket just as we wrote, so it read nothing. The reset is
 * the answer to our first packet and takes one round trip; one second covers every sane one.
 */
const STALE_SOCKET_MS = 1_000;

/** The one place that opens connections: fetch, the connect clock, the keep-alive replay, the address check. */
export class Transport {
  readonly #clock: Clock;
  /** Origin → when it last delivered something. As many entries as targets were ever configured. */
  readonly #lastSeenMs = new Map<string, number>();
  readonly #idle = new IdleConnections();
  readonly #turns = new SendingTurns();
  readonly #hosts: VettedHosts;

  constructor(clock: Clock, hosts: Omit<HostTools, 'clock'> = {}) {
    this.#clock = clock;
    this.#hosts = new VettedHosts({ ...hosts, clock });
  }

  /** Resolves with the reply's head. The caller has set the watch's other clocks. Rejects only with UpstreamError. */
  async open(call: TransportCall, watch: AttemptWatch): Promise<TransportReply> {
    const origin = originOf(call.url);
    let stopConnectClock: (() => void) | null = null;
    const sendingTurn = this.#turns.begin();
    try {
      const { network } = call.target;
      const vetted = this.#hosts.known(origin, network) ?? (await this.#vet(call, origin));
      const dials = dialsFor(call.url, network, vetted);
      if (sendingTurn !== null) await sendingTurn;
      if (watch.cause !== null) throw watch.cause;
      const sentAtMs = this.#clock.nowMs();
      const lastSeenMs = this.#lastSeenMs.get(origin);
      if (lastSeenMs === undefined || sentAtMs - lastSeenMs >= ORIGIN_FRESH_MS) {
        stopConnectClock = this.#startConnectClock(call, dials, watch);
      }
      const response = await this.#sendByOneOf(dials, call, watch, origin, sentAtMs);
      stopConnectClock?.();
      this.#lastSeenMs.set(origin, this.#clock.nowMs());
      refuseRedirect(response, call, origin);
      const body = new UpstreamBody(response, watch, origin, this.#idle);
      return { status: response.status, headers: response.headers, body };
    } catch (error) {
      stopConnectClock?.();
      const cause = watch.cause ?? socketFault(error, origin, 'head');
      watch.abort(cause);
      throw cause;
    } finally {
      this.#turns.answered();
    }
  }

  /** By the next address where no connection to the one before came to stand: nothing was sent there. */
  async #sendByOneOf(
    dials: readonly Dial[],
    call: TransportCall,
    watch: AttemptWatch,
    origin: string,
    sentAtMs: number,
  ): Promise<Response> {
    const mark = this.#idle.send(origin, sentAtMs);
    for (const [index, dial] of dials.entries()) {
      try {
        return await this.#send(dial, call, watch, origin, mark, sentAtMs);
      } catch (error) {
        const notConnected = isNotConnected(error);
        if (dial.pinned !== null && (notConnected || watch.cause !== null)) {
          this.#hosts.demote(origin, call.target.network, dial.pinned.address);
        }
        const isLast = index === dials.length - 1;
        // Only now: there may be idle connections to the other addresses.
        if (notConnected && isLast) this.#idle.forget(origin);
        if (!notConnected || watch.cause !== null || isLast) throw error;
      }
    }
    throw new Error('there is always one way to call a URL');
  }

  /** Once more on a fresh connection where the first try met the keep-alive race. */
  async #send(
    dial: Dial,
    call: TransportCall,
    watch: AttemptWatch,
    origin: string,
    mark: SentMark,
    sentAtMs: number,
  ): Promise<Response> {
    try {
      return await send(dial, call, watch.signal, true);
    } catch (error) {
      if (watch.cause !== null || !this.#wasStaleSocket(error, origin, mark, sentAtMs)) throw error;
      return send(dial, call, watch.signal, false);
    }
  }

  #wasStaleSocket(error: unknown, origin: string, mark: SentMark, sentAtMs: number): boolean {
    return isReset(error) && this.#idle.mayHaveReused(origin, mark) && this.#clock.nowMs() - sentAtMs < STALE_SOCKET_MS;
  }

  /** Returns what ends it. */
  #startConnectClock(call: TransportCall, [dial]: readonly Dial[], watch: AttemptWatch): () => void {
    const { connectMs } = call.target.clocks;
    watch.start('connect', connectMs, this.#clock.nowMs());
    let check: { stop(): void } | null = null;
    // Most servers answer sooner than a quarter of the limit: they are spared the second connection.
    const cancelCheck = this.#clock.after(connectMs / 4, () => {
      const url = new URL(call.url);
      // The proxy connects for us, and its own clocks say when that fails: ours for the reply still count.
      if (goesThroughProxy(url)) watch.stop('connect');
      else check = startConnectCheck(new URL(dial?.url ?? call.url), () => watch.stop('connect'));
    });
    return () => {
      cancelCheck();
      check?.stop();
      watch.stop('connect');
    };
  }

  async #vet({ url, target }: TransportCall, origin: string): Promise<VettedAddresses> {
    try {
      return await this.#hosts.vet(url, origin, target.network, target.clocks.connectMs);
    } catch (error) {
      throw new UpstreamError('unreachable', messageOf(error), { cause: error });
    }
  }
}

type FetchOptions = Omit<BunFetchRequestInit, 'proxy'> & { timeout: false; proxy?: false };

function send({ url, pinned }: Dial, call: TransportCall, signal: AbortSignal, keepalive: boolean): Promise<Response> {
  const options: FetchOptions = {
    method: call.method,
    headers: call.headers,
    redirect: 'manual',
    signal,
    keepalive,
    // Bun's own limit of five minutes; ours are in the watch.
    timeout: false,
  };
  if (call.body !== null) options.body = call.body as Uint8Array<ArrayBuffer>;
  if (pinned !== null) {
    options.headers = { ...call.headers, host: pinned.hostHeader };
    // The name of the certificate, also what fetch keeps its idle connections apart by (measured, Bun 1.4.5).
    options.tls = { serverName: pinned.serverName };
    // Whether a proxy is used was decided by the name; fetch would look at NO_PROXY again, for the address.
    options.proxy = false;
  }
  return fetch(url, options as BunFetchRequestInit);
}

/** A redirect would carry the credential and the prompt to an address that nobody configured. */
function refuseRedirect({ status }: Response, { target }: TransportCall, origin: string): void {
  if (status < 300 || status > 399) return;
  const message = `${origin} answered with a redirect (${status}), which is never followed: set the URL of the target ${target.id} to where it really is`;
  throw new UpstreamError('malformed', message, { status });
}

function originOf(url: string): string {
  const path = url.indexOf('/', url.indexOf('//') + 2);
  return path === -1 ? url : url.slice(0, path);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
