import { checkShape, patchTopLevel } from '../../src/core/json-patch.ts';
import { requestBody } from '../wire.ts';
import { keep, type MicroResult, timePerRunNs } from './harness.ts';

const CHANGES = { model: 'bench-model', stream: true, stream_options: { include_usage: true } };
const decoder = new TextDecoder();

function longRequest(bytes: number): string {
  const body = JSON.parse(requestBody(false)) as { messages: object[] };
  const turn = { role: 'user', content: 'A "quoted" line\nof a long conversation. '.repeat(25) };
  while (JSON.stringify(body).length < bytes) body.messages.push(turn);
  return JSON.stringify(body);
}

/** Patching raw bytes beside parsing and writing the whole body again. */
export function jsonPatchBenchmarks(): MicroResult[] {
  const sizes = [
    { name: '340 bytes', text: requestBody(false) },
    { name: '64 KB', text: longRequest(65_536) },
  ];
  return sizes.flatMap(({ name, text }) => {
    const bytes = new TextEncoder().encode(text);
    return [
      { name: `patchTopLevel, ${name}`, rounds: timePerRunNs(() => keep(patchTopLevel(bytes, CHANGES))) },
      {
        name: `JSON.parse, change, JSON.stringify, ${name}`,
        rounds: timePerRunNs(() => keep(JSON.stringify({ ...JSON.parse(decoder.decode(bytes)), ...CHANGES }))),
      },
      {
        name: `checkDepth, ${name}`,
        rounds: timePerRunNs(() => checkShape(bytes, { maxDepth: 64, maxKeys: 100_000 })),
      },
    ];
  });
}
