import { SseParser } from '../../src/adapters/openai-wire/sse-parser.ts';
import { TOKEN_EVENT } from '../wire.ts';
import { keep, type MicroResult, timePerRunNs } from './harness.ts';

const sink = { event: (_type: string, data: string): void => keep(data) };

/** One event as a chunk of its own, sixteen in one chunk, and one cut in two. */
export function sseParserBenchmarks(): MicroResult[] {
  const one = new TextEncoder().encode(TOKEN_EVENT);
  const many = new TextEncoder().encode(TOKEN_EVENT.repeat(16));
  const halves = [one.slice(0, 100), one.slice(100)] as const;
  const parser = new SseParser(sink);
  const decoder = new TextDecoder();
  return [
    { name: 'SseParser, one event a chunk', rounds: timePerRunNs(() => parser.push(one)) },
    {
      name: 'SseParser, sixteen events a chunk, for each',
      rounds: perEvent(
        timePerRunNs(() => parser.push(many)),
        16,
      ),
    },
    {
      name: 'SseParser, an event in two chunks',
      rounds: timePerRunNs(() => {
        parser.push(halves[0]);
        parser.push(halves[1]);
      }),
    },
    { name: 'for comparison: decode and JSON.parse of one event', rounds: timePerRunNs(() => parseOne(decoder, one)) },
  ];
}

function parseOne(decoder: TextDecoder, bytes: Uint8Array): void {
  keep(JSON.parse(decoder.decode(bytes).slice('data: '.length)));
}

function perEvent(rounds: readonly number[], events: number): number[] {
  return rounds.map((value) => value / events);
}
