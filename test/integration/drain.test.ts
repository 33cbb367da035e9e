import { describe, expect, test } from 'bun:test';
import { contentOf, readEvents, targetFor, until } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const streamed = { stream: true, messages: [{ role: 'user', content: 'hi' }] };

describe('F-43 L-21 shutting down', () => {
  test('lets running streams finish within the grace, and accepts nobody new', async () => {
    const studio = await simulator({ kind: 'lm-studio', replyTokens: 30, tokensPerSecond: 100 });
    const { chat, gateway: started, url } = await gateway([targetFor(studio)]);
    const running = await chat(streamed);
    const stopped = started.stop(5_000);
    await until('nobody new is let in', () =>
      fetch(`${url}/health`, { keepalive: false }).then(
        () => false,
        () => true,
      ),
    );
    expect((await readEvents(running)).at(-1)).toBe('[DONE]');
    expect(await stopped).toBe(true);
  });

  test('ends what is left after the grace with an error event, never silently', async () => {
    const studio = await simulator({ kind: 'lm-studio', replyTokens: 10_000, tokensPerSecond: 50 });
    const { chat, gateway: started, outcomes } = await gateway([targetFor(studio)]);
    const running = await chat(streamed);
    const events = readEvents(running);
    const finished = await started.stop(100);
    const received = await events;
    expect(finished).toBe(false);
    expect(contentOf(received)).not.toBe('');
    expect(received.at(-1)).toMatchObject({ error: { message: expect.stringContaining('shutting down') } });
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(['cut']);
    await until('the upstream is let go', () => studio.active() === 0);
  });
});
