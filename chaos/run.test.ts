import { afterEach, describe, expect, test } from 'bun:test';
import { faultOf } from './faults.ts';
import { HUNG_AFTER_MS, LEAVING_MS, MAX_RETRIES, startChaosGateway } from './fleet.ts';
import { leftovers } from './leftovers.ts';
import { findingLine } from './report.ts';
import { type Arena, runMany } from './run.ts';
import { requestPlan } from './schedule.ts';
import { ChaosServers } from './servers.ts';
import { Tally } from './tally.ts';
import type { Violation } from './verdict.ts';

const SEED = 4;
const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function startServers(faults: number): Promise<ChaosServers> {
  const servers = await ChaosServers.start({ seed: SEED, faults, maxAttempts: MAX_RETRIES + 1 });
  stops.push(() => servers.stop());
  return servers;
}

async function run(arena: Arena, numbers: readonly number[], clients = 8): Promise<Tally> {
  const tally = new Tally();
  const left = numbers.values();
  await runMany(arena, tally, { clients }, () => left.next().value ?? null);
  return tally;
}

/** Asks one server as a client would, and names it in the reply as the gateway does. */
type Ask = (server: string, signal?: AbortSignal) => Promise<Response>;
type Door = (ask: Ask, request: Request) => Promise<Response>;

/** Something that takes the gateway's place. */
async function judged(door: Door, { faults = 0, numbers = upTo(60), hungAfterMs = 3_000 } = {}) {
  const servers = await startServers(faults);
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 0,
    fetch: async (request) => {
      const body = await request.text();
      const ask: Ask = async (name, signal) => {
        const url = `${new URL(servers.baseUrl(name)).origin}/v1/chat/completions`;
        const reply = await fetch(url, { method: 'POST', body, redirect: 'manual', ...(signal ? { signal } : {}) });
        const headers = new Headers(reply.headers);
        headers.set('x-swarmrouter-target', name);
        return new Response(reply.body, { status: reply.status, headers });
      };
      return await door(ask, request);
    },
    error: () => new Response('broken', { status: 500 }),
  });
  stops.push(() => server.stop(true));
  const tally = await run(
    { url: server.url.origin, servers, seed: SEED, hungAfterMs, leavingMs: 100, invoice: [] },
    numbers,
  );
  return { tally, servers };
}

/** Hangs go on for ever without clocks, and `fetch` is loud about a body that is not what it says. */
const isUnsuited = (number: number) =>
  ['hang', 'headers-only', 'comments-only', 'stall', 'gzip'].includes(faultOf(SEED, number, 'vee', 0.6)?.kind ?? '');

const upTo = (count: number) => Array.from({ length: count }, (_, number) => number);
const seen = ({ violations }: Tally) => Object.keys(violations).filter((name) => violations[name as Violation] > 0);

/** The same reply with another body. */
async function edited(reply: Response, edit: (text: string) => string): Promise<Response> {
  return new Response(edit(await reply.text()), { status: reply.status, headers: reply.headers });
}

function replyOnce(): Door {
  let first: Promise<string> | null = null;
  return async (ask) => {
    const reply = await ask('vee');
    first ??= reply.text();
    return new Response(await first, { headers: reply.headers });
  };
}

const LOCALS = ['vee', 'lang', 'llama', 'studio-1', 'studio-2'];
const ERROR_EVENT = 'data: {"error":{"type":"server_error","code":"upstream_error","message":"it broke"}}\n\n';

/** Requests that stream, or do not, and whose clients stay. */
const staying = (stream: boolean) =>
  upTo(400).filter((number) => {
    const { abort, includeUsage, ...plan } = requestPlan(SEED, number);
    return plan.stream === stream && abort === null && plan.promptTokens < 1_000;
  });

describe('the chaos run', () => {
  test('has nothing against the gateway, which leaves nothing behind', async () => {
    const servers = await startServers(0.25);
    const gateway = await startChaosGateway(servers);
    stops.push(() => gateway.stop());
    const tally = await run(
      { url: gateway.url, servers, seed: SEED, hungAfterMs: HUNG_AFTER_MS, leavingMs: LEAVING_MS, invoice: [] },
      upTo(300),
    );
    expect([tally.requests, tally.findings.map(findingLine)]).toEqual([300, []]);
    expect(tally.failedOver).toBeGreaterThan(10);
    expect(await leftovers(gateway, servers)).toEqual([]);
  }, 60_000);

  test('has nothing against any door while nothing goes wrong', async () => {
    const { tally, servers } = await judged((ask, { signal }) => ask('vee', signal));
    expect([tally.requests, seen(tally), servers.strays()]).toEqual([60, [], []]);
  });

  test('sees that a door without failover fails, cuts and loses', async () => {
    const door: Door = async (ask) => edited(await ask('vee'), (text) => text);
    const { tally } = await judged(door, { faults: 0.6, numbers: upTo(300).filter((number) => !isUnsuited(number)) });
    for (const violation of ['lost', 'silently cut', 'wrong answer', 'wrongly failed', 'badly told'])
      expect(seen(tally)).toContain(violation);
  });

  test('sees a reply that never comes', async () => {
    const { tally } = await judged(() => new Promise<never>(() => undefined), {
      numbers: staying(true).slice(0, 5),
      hungAfterMs: 50,
    });
    expect(seen(tally)).toEqual(['hung']);
  });

  test("sees another request's answer", async () => {
    expect(seen((await judged(replyOnce(), { numbers: staying(false) })).tally)).toContain('cross-wired');
  });

  test('sees an answer that comes twice', async () => {
    const door: Door = async (ask) =>
      edited(await ask('vee'), (text) => text.replace(/data: \[DONE\]\n\n$/, '') + text);
    expect(seen((await judged(door, { numbers: staying(true).slice(0, 9) })).tally)).toContain('duplicated');
  });

  test('sees an answer under the name of another server', async () => {
    const door: Door = async (ask) => {
      const reply = await ask('vee');
      reply.headers.set('x-swarmrouter-target', 'lang');
      return reply;
    };
    expect(seen((await judged(door, { numbers: staying(true).slice(0, 9) })).tally)).toEqual(['wrong answer']);
  });

  test('sees a stream that is broken without a reason', async () => {
    const door: Door = async (ask) => edited(await ask('vee'), (text) => text.replace('data: [DONE]\n\n', ERROR_EVENT));
    expect(seen((await judged(door, { numbers: staying(true).slice(0, 9) })).tally)).toEqual(['wrongly cut']);
  });

  test('sees a server that is asked again, and more servers than are allowed', async () => {
    const twice: Door = async (ask) => {
      await (await ask('vee')).text();
      return ask('vee');
    };
    expect(seen((await judged(twice, { numbers: staying(true).slice(0, 9) })).tally)).toEqual(['processed twice']);
    const many: Door = async (ask) => {
      for (const name of LOCALS.slice(1)) await (await ask(name)).text();
      return ask('vee');
    };
    expect(seen((await judged(many, { numbers: staying(true).slice(0, 9) })).tally)).toEqual(['too many attempts']);
  });

  test('sees an upstream call that goes on when its client has left', async () => {
    const numbers = upTo(40_000).filter((number) => {
      const { abort } = requestPlan(SEED, number);
      // Who leaves earlier may have left before the call arrives, where the machine is busy.
      return faultOf(SEED, number, 'vee', 1)?.kind === 'hang' && abort?.phase === 'waiting' && abort.afterMs >= 18;
    });
    expect(numbers.length).toBeGreaterThan(0);
    const some = { faults: 1, numbers: numbers.slice(0, 3) };
    expect(seen((await judged((ask) => ask('vee'), some)).tally)).toEqual(['not cancelled']);
    expect(seen((await judged((ask, { signal }) => ask('vee', signal), some)).tally)).toEqual([]);
  }, 20_000);

  test('sees an upstream call after the end of its request', async () => {
    const late: Promise<unknown>[] = [];
    const door: Door = async (ask) => {
      const text = await (await ask('vee')).text();
      const answered = Bun.sleep(100);
      late.push(answered.then(() => ask('lang')).then((reply) => reply.text()));
      return new Response(text, { headers: { 'x-swarmrouter-target': 'vee' } });
    };
    const [number = 0] = staying(true);
    const { servers } = await judged(door, { numbers: [number] });
    await Promise.all(late);
    expect(servers.strays()).toEqual([{ number, targets: ['lang'] }]);
  });
});
