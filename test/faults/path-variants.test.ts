import { describe, expect, test } from 'bun:test';
import { faultParts, targetFor } from '../support/fault-parts.ts';
import { until } from '../support/gateway.ts';
import { variantsOf } from '../support/path-variants.ts';
import { talk } from '../support/raw-client.ts';
import { inference } from '../support/running.ts';

const parts = faultParts();

const SECRET_WORDS = /sim-model|to-guard|"targets"|swarmrouter_attempts_total/;

const OVERRIDES = [
  '',
  'x-http-method-override: GET\r\n',
  'x-original-url: /docs\r\n',
  'x-rewrite-url: /health\r\n',
  'x-forwarded-prefix: /docs\r\n',
  'x-forwarded-for: 127.0.0.1\r\n',
];

async function gatewayOnNetwork() {
  const server = await parts.simulator({ kind: 'vllm' });
  return { server, ...(await parts.gateway([targetFor(server, { id: 'to-guard' })], { host: '0.0.0.0' })) };
}

describe('L-15 a path that is spelled in another way', () => {
  for (const path of [
    '/admin/status',
    '/admin/keys',
    '/admin/overflow_provider',
    '/admin/usage',
    '/v1/models',
    '/metrics',
  ]) {
    test(`opens nothing of ${path} to somebody without a key`, async () => {
      const { gateway } = await gatewayOnNetwork();
      for (const variant of variantsOf(path)) {
        for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST']) {
          for (const override of method === 'GET' ? OVERRIDES : ['']) {
            const client = talk(
              gateway.port,
              `${method} ${variant} HTTP/1.1\r\nhost: localhost\r\n${override}content-length: 0\r\n\r\n`,
            );
            await until(
              'it is answered',
              () => client.isClosed() || /HTTP\/1\.1 \d{3}.*\r\n\r\n/s.test(client.received()),
            );
            client.destroy();
            // Some of them are the address of the public documents, and many that of nothing at all.
            expect([method, variant, override, SECRET_WORDS.test(client.received())]).toEqual([
              method,
              variant,
              override,
              false,
            ]);
          }
        }
      }
    }, 30_000);
  }

  test('opens with the key, so that what is looked for above would be found', async () => {
    const { url, adminKey } = await gatewayOnNetwork();
    for (const path of ['/admin/status', '/v1/models', '/metrics']) {
      const response = await fetch(`${url.replace('0.0.0.0', '127.0.0.1')}${path}`, {
        headers: { authorization: `Bearer ${adminKey}` },
      });
      expect([response.status, await response.text()]).toEqual([200, expect.stringMatching(SECRET_WORDS)]);
    }
  });

  test('asks no model server for somebody without a key', async () => {
    const { gateway, server } = await gatewayOnNetwork();
    const body = JSON.stringify({ model: 'sim-model', messages: [{ role: 'user', content: 'hi' }] });
    for (const variant of variantsOf('/v1/chat/completions')) {
      const client = talk(
        gateway.port,
        `POST ${variant} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      );
      await until('it is answered', () => client.isClosed() || /HTTP\/1\.1 \d{3}.*\r\n\r\n/s.test(client.received()));
      client.destroy();
      expect([variant, /HTTP\/1\.1 200/.test(client.received())]).toEqual([variant, false]);
    }
    expect(inference(server)).toEqual([]);
  });
});
