import { describe, expect, test } from 'bun:test';
import { faultParts, targetFor } from '../support/fault-parts.ts';
import { until } from '../support/gateway.ts';
import { talk } from '../support/raw-client.ts';
import { inference } from '../support/running.ts';

const parts = faultParts();

async function gatewayBefore(change: Parameters<typeof parts.gateway>[1] = {}) {
  const server = await parts.simulator({ kind: 'vllm', models: [{ id: 'sim-model', contextLength: 10_000_000 }] });
  return { server, ...(await parts.gateway([targetFor(server)], change)) };
}

const MESSAGES = '"messages":[{"role":"user","content":"hi"}]';
const nested = (depth: number, open: string, close: string): string => open.repeat(depth) + close.repeat(depth);

/** A body at the limit, which is served, and one beyond it, with what it is refused for. */
const BODIES: readonly (readonly [string, string, string, string])[] = [
  [
    'objects in objects',
    `{${MESSAGES},"x":${'{"a":'.repeat(62)}1${'}'.repeat(62)}}`,
    `{${MESSAGES},"x":${'{"a":'.repeat(64)}1${'}'.repeat(64)}}`,
    'json_too_deep',
  ],
  [
    'lists in lists',
    `{${MESSAGES},"x":${nested(63, '[', ']')}}`,
    `{${MESSAGES},"x":${nested(64, '[', ']')}}`,
    'json_too_deep',
  ],
  ['ten megabytes of brackets', `{${MESSAGES}}`, '['.repeat(10_000_000), 'json_too_deep'],
  [
    'keys',
    `{${MESSAGES},"x":[${'{"a":1},'.repeat(90_000)}0]}`,
    `{${MESSAGES},"x":[${'{"a":1},'.repeat(100_000)}0]}`,
    'json_too_many_keys',
  ],
  [
    'messages',
    `{"messages":[${Array(10_000).fill('{"role":"user","content":"a"}').join()}]}`,
    `{"messages":[${Array(10_001).fill('{"role":"user","content":"a"}').join()}]}`,
    'array_above_max_length',
  ],
  [
    'tools',
    `{${MESSAGES},"tools":[${Array(512).fill('{"type":"function"}').join()}]}`,
    `{${MESSAGES},"tools":[${Array(513).fill('{"type":"function"}').join()}]}`,
    'array_above_max_length',
  ],
  [
    'letters of a model',
    `{"model":"${'m'.repeat(512)}",${MESSAGES}}`,
    `{"model":"${'m'.repeat(513)}",${MESSAGES}}`,
    'string_above_max_length',
  ],
];

describe('S-13 a body of too many', () => {
  for (const [what, good, bad, code] of BODIES) {
    test(`${what} is refused in OpenAI's envelope before anybody is asked; one at the limit is served`, async () => {
      const { gateway, server } = await gatewayBefore();
      const send = (body: string) =>
        fetch(`${gateway.url}/v1/chat/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
        });
      const refused = await send(bad);
      const { error } = await refused.json();
      expect([refused.status, error.code, error.type]).toEqual([400, code, 'invalid_request_error']);
      expect(error.message.length).toBeGreaterThan(20);
      expect(inference(server)).toEqual([]);
      const served = await send(good);
      await served.text();
      expect(inference(server).length).toBe(1);
    });
  }

  test('megabytes is refused with 413 before it is read, of a stated length before it is sent', async () => {
    const { gateway, server } = await gatewayBefore({ maxBodyBytes: 1_048_576 });
    for (const length of ['1048577', '99999999', '9007199254740993', '9223372036854775807']) {
      const client = talk(
        gateway.port,
        `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`,
      );
      await until('it is refused', () => client.isClosed() || client.received().includes('}}'));
      expect(client.received()).toMatch(/^HTTP\/1\.1 4(?:13|00) /);
      // Bun itself refuses what no number here holds exactly, and knows no envelope.
      if (Number.isSafeInteger(Number(length))) expect(client.received()).toContain('"request_too_large"');
      client.destroy();
    }
    expect(inference(server)).toEqual([]);
  });

  test('anything is refused by the control plane too', async () => {
    const { gateway, adminKey } = await gatewayBefore();
    const send = async (body: string) => {
      const response = await fetch(`${gateway.url}/admin/overflow_provider`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${adminKey}` },
        body,
      });
      return [response.status, (await response.json()).error.code];
    };
    expect(await send('['.repeat(60_000))).toEqual([400, 'json_too_deep']);
    expect(await send(`{${'"a":1,'.repeat(10_001)}"b":1}`)).toEqual([400, 'json_too_many_keys']);
    expect(await send(`[${'{"":1},'.repeat(9_000)}${'{"":1}'.repeat(1)}]`)).toEqual([400, 'invalid_overflow_provider']);
    expect(await send(`"${'x'.repeat(70_000)}"`)).toEqual([413, 'body_too_large']);
  });
});

describe('S-13 headers', () => {
  const request = (headers: string, target = '/v1/models'): string =>
    `GET ${target} HTTP/1.1\r\nhost: localhost\r\n${headers}\r\n`;
  const statusOf = async (port: number, bytes: string): Promise<string> => {
    const client = talk(port, bytes);
    await until('it is answered', () => client.isClosed() || /HTTP\/1\.1 \d{3}/.test(client.received()));
    client.destroy();
    return /HTTP\/1\.1 (\d{3})/.exec(client.received())?.[1] ?? 'none';
  };

  for (const [what, bytes, status] of [
    ['of 12 KB in one', request(`x-long: ${'a'.repeat(12_000)}\r\n`), '200'],
    ['of 17 KB in one', request(`x-long: ${'a'.repeat(17_000)}\r\n`), '431'],
    [
      'of 17 KB in many',
      request(Array.from({ length: 170 }, (_, n) => `x-${n}: ${'a'.repeat(94)}\r\n`).join('')),
      '431',
    ],
    ['of 100 KB', request(`x-long: ${'a'.repeat(100_000)}\r\n`), '431'],
    ['of a megabyte', request(`x-long: ${'a'.repeat(1_000_000)}\r\n`), '431'],
    ['under a path of 17 KB', request('', `/v1/models?${'a'.repeat(17_000)}`), '431'],
    ['a thousand of them', request('a:b\r\n'.repeat(1_000)), '431'],
  ] as const) {
    test(`${what} get ${status}`, async () => {
      const { gateway } = await gatewayBefore();
      expect(await statusOf(gateway.port, bytes)).toBe(status);
      expect(await statusOf(gateway.port, request(''))).toBe('200');
    });
  }
});
