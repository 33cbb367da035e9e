import { afterEach, expect, test } from 'bun:test';
import { failureOf, targetOf } from '../../test/contract/adapters-support.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { createSeeker } from './index.ts';

const servers: { stop(force: boolean): unknown }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.stop(true);
});

/** An Ollama whose root never answers, as behind a proxy that keeps it for itself. */
function slowOllama() {
  const log: string[] = [];
  const answers: Readonly<Record<string, object>> = {
    '/api/version': { version: '0.13.5' },
    '/api/tags': { models: [] },
  };
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch(request) {
      const { pathname } = new URL(request.url);
      log.push(pathname);
      if (pathname === '/') return new Promise<Response>(() => undefined);
      const answer = answers[pathname];
      return answer === undefined ? new Response('', { status: 404 }) : Response.json(answer);
    },
  });
  servers.push(server);
  return { url: `http://127.0.0.1:${server.port}`, log };
}

test('a look that takes longer than a probe goes on, and the next probes join it', async () => {
  const clock = new ManualClock();
  const { url, log } = slowOllama();
  const target = { ...targetOf('ollama', url), adapterKind: 'auto' as const };
  const found: string[] = [];
  const seeker = createSeeker({ clock }, ({ id }, kind) => found.push(`${id} is ${kind}`));
  for (let n = 0; n < 3; n++) {
    const impatient = new AbortController();
    const probe = failureOf(seeker.probe(target, impatient.signal));
    impatient.abort();
    expect((await probe).message).toBe(`the kind of ${target.id} is not known yet: it is being looked at`);
  }
  const last = failureOf(seeker.probe(target, new AbortController().signal));
  // The other answers come over real sockets, the patience with the root by the clock.
  while (found.length === 0) {
    await Bun.sleep(5);
    if (log.includes('/api/tags') && log.includes('/api/version')) await clock.advance(20);
  }
  expect((await last).message).toContain('it is ollama');
  expect(found).toEqual([`${target.id} is ollama`]);
  expect(log.filter((path) => path === '/')).toHaveLength(1);
});
