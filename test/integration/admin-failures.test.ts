import { Database } from 'bun:sqlite';
import { expect, test } from 'bun:test';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { admin } from '../support/admin-client.ts';
import { startTestGateway, until } from '../support/gateway.ts';

test('what nobody thought of is logged with the id of the request, and its stack, and not shown', async () => {
  const on = await startTestGateway([]);
  try {
    await admin(on, 'POST', 'tokens', { name: 'robot', grants: [{ role: 'auditor' }] });
    const file = new Database(join(on.dataDir, 'swarmrouter.db'));
    file.run('DROP TABLE service_token');
    file.close();
    const reply = await admin(on, 'GET', 'tokens');
    expect([reply.status, reply.body.error.code]).toEqual([500, 'internal_error']);
    expect(JSON.stringify(reply.body)).not.toContain('service_token');
    const id = reply.headers.get('x-request-id') ?? '';
    const lines = async () => (await readFile(join(on.dataDir, 'log.jsonl'), 'utf8')).split('\n');
    await until('it is logged', async () => (await lines()).some((line) => line.includes(id)));
    const [line = ''] = (await lines()).filter((one) => one.includes(id));
    const { level, requestId, error, msg } = JSON.parse(line);
    expect([level, requestId, msg]).toEqual(['error', id, 'an admin request failed']);
    expect(error.message).toContain('service_token');
    expect(error.stack).toContain('.ts:');
  } finally {
    await on.stop();
  }
});
