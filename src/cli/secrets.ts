import { type AdminClient, fieldOf } from './admin-client.ts';
import { show } from './cells.ts';
import { type JsonFlag, print } from './reply-text.ts';
import type { Terminal } from './terminal.ts';

/** Another master key for what is sealed on the disk. */
export async function rotateSecrets(client: AdminClient, terminal: Terminal, flags: JsonFlag): Promise<number> {
  return print(
    await client.request('POST', '/admin/secrets/rotate'),
    terminal,
    flags,
    (body) => `There is a new master key. Provider keys under it: ${show(fieldOf(body, 'sealed'))}.`,
  );
}
