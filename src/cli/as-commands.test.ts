import { expect, test } from 'bun:test';
import { asCommands } from './as-commands.ts';

test('a way of the API is told as the command that does the same', () => {
  const told = {
    'There is one already. Change that one: PATCH /admin/budgets/bud_0199-a. Nothing was changed.':
      'There is one already. Change that one: "swarmrouter budgets update bud_0199-a". Nothing was changed.',
    'There is no user "x". GET /admin/users lists them.': 'There is no user "x". "swarmrouter users list" lists them.',
    'those of a key are with the key (PATCH /admin/keys/{id})':
      'those of a key are with the key ("swarmrouter keys update ID")',
    'PATCH /admin/providers/my.box, or': '"swarmrouter providers update my.box", or',
    'GET /admin/audit/verify tells where': '"swarmrouter audit verify" tells where',
  };
  for (const [message, expected] of Object.entries(told)) expect(asCommands(message)).toBe(expected);
});

test('what no command does is told as it was', () => {
  for (const message of ['POST /admin/login', 'DELETE /admin/keys/key_1', 'GET /v1/models', 'no way at all']) {
    expect(asCommands(message)).toBe(message);
  }
});
