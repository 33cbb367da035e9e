import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { asCommands } from './as-commands.ts';

export type AdminReply =
  | { readonly ok: true; readonly body: unknown }
  /** `body`: what the gateway said besides; undefined: nothing, or it was not reached. `wrongUse`: it was asked wrongly. */
  | { readonly ok: false; readonly message: string; readonly body?: unknown; readonly wrongUse?: boolean };

export interface AdminClient {
  readonly url: string;
  /** @param body bytes go as they are, everything else as JSON */
  request(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
    /** For the whole of the reply. Default 30,000. */
    timeoutMs?: number,
  ): Promise<AdminReply>;
  /** A reply of any length, handed on as it comes. Resolves with a failure also when it breaks off. */
  download(path: string, take: (text: string) => Promise<void>): Promise<AdminFailure | null>;
}

type AdminFailure = Extract<AdminReply, { readonly ok: false }>;

const TIMEOUT_MS = 30_000;

/**
 * Talks to the running gateway that the settings describe; `url` overrules where it is.
 * @param organisation to act in; null: one's own
 */
export function adminClient(config: Config, url: string | null, organisation: string | null = null): AdminClient {
  const base = (url ?? gatewayUrl(config)).replace(/\/+$/, '');
  const acting: Readonly<Record<string, string>> =
    organisation === null ? {} : { 'x-swarmrouter-organisation': organisation };
  return {
    url: base,
    request: async (method, path, body, headers = {}, timeoutMs = TIMEOUT_MS) => {
      const key = adminKey(config);
      if (!key.ok) return key;
      const authorized = { ...headers, ...acting, authorization: `Bearer ${key.key}` };
      return call(`${base}${path}`, method, authorized, body, base, timeoutMs);
    },
    download: async (path, take) => {
      const key = adminKey(config);
      if (!key.ok) return key;
      return download(`${base}${path}`, { ...acting, authorization: `Bearer ${key.key}` }, take, base);
    },
  };
}

/** Where a client on this machine reaches a gateway that listens on this host. */
export function gatewayUrl({ host, port }: Pick<Config, 'host' | 'port'>): string {
  const everywhere: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '[::1]' };
  return `http://${everywhere[host] ?? (host.includes(':') ? `[${host}]` : host)}:${port}`;
}

type KeyResult = { readonly ok: true; readonly key: string } | { readonly ok: false; readonly message: string };

function adminKey(config: Config): KeyResult {
  if (config.adminKey !== null) return { ok: true, key: config.adminKey.reveal() };
  const path = join(config.dataDir, 'admin-key');
  const orSet = 'or set SWARMROUTER_ADMIN_KEY';
  try {
    const key = readFileSync(path, 'utf8').trim();
    if (key !== '') return { ok: true, key };
    return {
      ok: false,
      message: `The admin key file ${path} is empty. Delete it and start the gateway again, ${orSet}.`,
    };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    const why =
      code === 'ENOENT'
        ? `There is no admin key at ${path}`
        : `The admin key at ${path} cannot be read (${code ?? error})`;
    return { ok: false, message: `${why}. Start the gateway once (it makes the key) as the same user, ${orSet}.` };
  }
}

async function call(
  url: string,
  method: string,
  headers: Readonly<Record<string, string>>,
  body: unknown,
  base: string,
  timeoutMs: number,
): Promise<AdminReply> {
  let reply: Response;
  let text: string;
  try {
    reply = await fetch(url, {
      method,
      headers: {
        ...headers,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      // A redirect would carry the admin key to wherever it points.
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined
        ? {}
        : { body: body instanceof Uint8Array ? (body as Uint8Array<ArrayBuffer>) : JSON.stringify(body) }),
    });
    text = await reply.text();
  } catch (error) {
    return { ok: false, message: unreachable(error, base, timeoutMs) };
  }
  return judge(reply.status, text, base);
}

async function download(
  url: string,
  headers: Readonly<Record<string, string>>,
  take: (text: string) => Promise<void>,
  base: string,
): Promise<AdminFailure | null> {
  const late = new AbortController();
  // Only until it begins: a long one takes as long as it takes.
  const timer = setTimeout(() => late.abort(new DOMException('too late', 'TimeoutError')), TIMEOUT_MS);
  let begun = false;
  try {
    const reply = await fetch(url, { headers, redirect: 'manual', signal: late.signal });
    clearTimeout(timer);
    if (reply.status !== 200 || reply.body === null) {
      const judged = judge(reply.status, await reply.text(), base);
      return judged.ok ? { ok: false, message: `The gateway at ${base} sent nothing.` } : judged;
    }
    begun = true;
    const decoder = new TextDecoder();
    for await (const bytes of reply.body) await take(decoder.decode(bytes, { stream: true }));
    return null;
  } catch (error) {
    const message = begun
      ? `The gateway at ${base} broke off: what was written is not all.`
      : unreachable(error, base, TIMEOUT_MS);
    return { ok: false, message };
  } finally {
    clearTimeout(timer);
  }
}

function judge(status: number, text: string, base: string): AdminReply {
  const body = parseJson(text);
  if (status >= 200 && status < 300 && body !== undefined) return { ok: true, body };
  if (status === 401) {
    const fix =
      'Set SWARMROUTER_ADMIN_KEY (or --admin-key) to the key that it was started with, or to a service token.';
    return { ok: false, message: `The gateway at ${base} refused the admin key. ${fix}` };
  }
  const said = errorMessage(body);
  if (said !== null) return { ok: false, message: asCommands(said), body, wrongUse: status === 400 };
  return {
    ok: false,
    message: `What answers at ${base} is not SwarmRouter (status ${status}). Give its address with --url.`,
  };
}

function unreachable(error: unknown, base: string, timeoutMs: number): string {
  if (error instanceof Error && error.name === 'TimeoutError') {
    return `The gateway at ${base} did not answer within ${timeoutMs / 1000} s.`;
  }
  return `No gateway answers at ${base}. Start it with \`npm start\` (or \`swarmrouter start\`), or give its address with --url.`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function errorMessage(body: unknown): string | null {
  const error = fieldOf(body, 'error');
  const message = fieldOf(error, 'message');
  return typeof message === 'string' ? message : null;
}

/** A field of a reply whose shape is not known. */
export function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && name in value
    ? (value as Record<string, unknown>)[name]
    : undefined;
}
