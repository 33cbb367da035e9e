import { dialsFor } from './dial.ts';
import { goesThroughProxy } from './proxy-rules.ts';
import { isNotConnected } from './socket-faults.ts';
import { type HostTools, VettedHosts } from './vetted-hosts.ts';

export interface VettedFetchOptions extends HostTools {
  /** Larger bodies are given up. */
  readonly maxBytes: number;
}

interface Call {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: BodyInit | Uint8Array | null | undefined;
  readonly signal?: AbortSignal | null | undefined;
}

const RESOLVE_WITHIN_MS = 5_000;

/**
 * For servers that the operator names and that are no targets, such as identity providers, and for whatever these name
 * in turn: never a metadata service, never the gateway itself, and dialled by the address that was checked. Redirects
 * are not followed. The reply is whole when it is given.
 */
export function createVettedFetch({ maxBytes, ...tools }: VettedFetchOptions) {
  const hosts = new VettedHosts(tools);
  return async (url: string, call: Call): Promise<Response> => {
    const parsed = new URL(url);
    // A proxy knows names that this machine does not, and dials for us.
    const network = goesThroughProxy(parsed) ? 'any' : 'lan';
    const vetted =
      hosts.known(parsed.origin, network) ?? (await hosts.vet(url, parsed.origin, network, RESOLVE_WITHIN_MS));
    const dials = dialsFor(url, network, vetted);
    for (const [index, { url: dialled, pinned }] of dials.entries()) {
      try {
        const reply = await fetch(dialled, {
          ...{ method: call.method, redirect: 'manual', body: call.body ?? null, signal: call.signal ?? null },
          headers: pinned === null ? call.headers : { ...call.headers, host: pinned.hostHeader },
          // The name of the certificate; whether a proxy is used was decided by the name.
          ...(pinned !== null && { tls: { serverName: pinned.serverName }, proxy: false }),
        } as BunFetchRequestInit);
        return await whole(reply, maxBytes);
      } catch (error) {
        if (!isNotConnected(error) || index === dials.length - 1) throw error;
      }
    }
    throw new Error('there is always one way to call a URL');
  };
}

async function whole(reply: Response, maxBytes: number): Promise<Response> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of reply.body ?? []) {
    bytes += part.length;
    if (bytes > maxBytes) throw new Error(`the reply is larger than ${maxBytes} bytes`);
    parts.push(part);
  }
  const { status, headers } = reply;
  return new Response(bytes === 0 ? null : Buffer.concat(parts), { status, headers });
}
