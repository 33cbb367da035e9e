import { afterEach, expect, test } from 'bun:test';
import { failureOf, targetOf } from '../../test/contract/adapters-support.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { createSeeker } from './index.ts';

const servers: { stop(force: boolean): unknown }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.stop(true);
});

function serving(answer: (path: string) => Response | Promise<Response>) {
  const log: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch(request) {
      const { pathname } = new URL(request.url);
      log.push(pathname);
      return answer(pathname);
    },
  });
  servers.push(server);
  return { url: `http://127.0.0.1:${server.port}`, log };
}

const jsonOr404 = (answer: object | undefined): Response =>
  answer === undefined ? new Response('', { status: 404 }) : Response.json(answer);

/** An Ollama whose root never answers, as behind a proxy that keeps it for itself. */
function slowOllama() {
  const answers: Readonly<Record<string, object>> = {
    '/api/version': { version: '0.13.5' },
    '/api/tags': { models: [] },
  };
  return serving((path) => (path === '/' ? new Promise<Response>(() => undefined) : jsonOr404(answers[path])));
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

test('what answers but is no model server of our own is looked at again only after ten seconds', async () => {
  const clock = new ManualClock();
  const { url, log } = serving((path) => jsonOr404(path === '/v1/models' ? { data: [{ id: 'm' }] } : undefined));
  const target = { ...targetOf('openai-compatible', url), adapterKind: 'auto' as const };
  const found: string[] = [];
  const seeker = createSeeker({ clock }, (_target, kind) => found.push(kind));
  const looks = () => log.filter((path) => path === '/v1/models').length;
  const probe = async () => (await failureOf(seeker.probe(target, new AbortController().signal))).message;
  for (let n = 0; n < 3; n++) {
    expect(await probe()).toContain('OpenAI-compatible: write that as its kind, and its place');
    await clock.advance(1_000);
  }
  expect(looks()).toBe(1);
  await clock.advance(10_000);
  expect(await probe()).toContain('write that as its kind');
  expect([looks(), found]).toEqual([2, []]);
});
