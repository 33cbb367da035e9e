import { type AdminClient, fieldOf } from './admin-client.ts';
import { listOf, show } from './cells.ts';
import { EXIT_WRONG_USE } from './exit-codes.ts';
import { allOf } from './pages.ts';
import { headed, type JsonFlag, noteLines, print } from './reply-text.ts';
import type { Terminal } from './terminal.ts';

export interface LimitFlags extends JsonFlag {
  readonly organisation?: boolean;
  readonly project?: string;
  readonly model?: string;
  readonly rpm?: string;
  readonly tpm?: string;
  readonly concurrent?: string;
}

export async function listLimits(client: AdminClient, terminal: Terminal, flags: JsonFlag): Promise<number> {
  return print(await allOf(client, '/admin/limits', 'limits'), terminal, flags, (body) => {
    const limits = listOf(fieldOf(body, 'limits'));
    if (limits.length === 0) {
      return 'There is no limit but those of keys. Set one: swarmrouter limits set --project web --rpm 600';
    }
    const names = ['scope', 'name', 'rpm', 'tpm', 'concurrent'];
    const rows = limits.map((limit) => names.map((name) => show(fieldOf(limit, name))));
    return headed(['FOR', 'NAME', 'RPM', 'TPM', 'CONCURRENT'], rows, terminal);
  });
}

export async function setLimit(client: AdminClient, terminal: Terminal, flags: LimitFlags): Promise<number> {
  const place = placeOf(flags);
  const limits = ['rpm', 'tpm', 'concurrent'] as const;
  if (place === null || limits.every((name) => flags[name] === undefined)) {
    const fix = place === null ? 'one of --organisation, --project ID, --model NAME' : '--rpm, --tpm or --concurrent';
    terminal.error(`swarmrouter: Give ${fix}.`);
    return EXIT_WRONG_USE;
  }
  const given = limits.flatMap((name) => (flags[name] === undefined ? [] : [[name, limitOf(flags[name])]]));
  const reply = await client.request('POST', '/admin/limits', { ...place, ...Object.fromEntries(given) });
  return print(reply, terminal, flags, (set) => {
    const all = limits.map((name) => `${name} ${fieldOf(set, name) === null ? 'none' : show(fieldOf(set, name))}`);
    const text = `Limits of the ${show(fieldOf(set, 'scope'))} "${show(fieldOf(set, 'name'))}": ${all.join(', ')}.`;
    return [text, ...noteLines(set)].join('\n');
  });
}

export async function removeLimit(client: AdminClient, terminal: Terminal, flags: LimitFlags): Promise<number> {
  const place = placeOf(flags);
  if (place === null) {
    terminal.error('swarmrouter: Give one of --organisation, --project ID, --model NAME.');
    return EXIT_WRONG_USE;
  }
  const query = new URLSearchParams(place).toString();
  return print(
    await client.request('DELETE', `/admin/limits?${query}`),
    terminal,
    flags,
    (removed) => `The ${show(fieldOf(removed, 'scope'))} "${show(fieldOf(removed, 'name'))}" has no limit any more.`,
  );
}

/** Null: not exactly one is given. */
function placeOf({ organisation, project, model }: LimitFlags): Record<string, string> | null {
  const given: Record<string, string>[] = [
    ...(organisation === true ? [{ scope: 'organisation' }] : []),
    ...(project === undefined ? [] : [{ scope: 'project', name: project }]),
    ...(model === undefined ? [] : [{ scope: 'model', name: model }]),
  ];
  return given.length === 1 ? (given[0] ?? null) : null;
}

/** What is no number goes as it is: the gateway says what is allowed. */
function limitOf(text: string | undefined): unknown {
  if (text === undefined || text === 'none') return null;
  return /^\d+$/.test(text) ? Number(text) : text;
}
