import { type AdminClient, fieldOf } from './admin-client.ts';
import { EXIT_FAILED, EXIT_OK, EXIT_WRONG_USE } from './exit-codes.ts';
import type { Screen } from './screen.ts';
import { clip } from './table.ts';
import type { Terminal } from './terminal.ts';
import { type Sample, topText } from './top-text.ts';

export interface TopFlags {
  /** `1s`, `500ms`, or seconds. */
  readonly interval?: string;
  readonly once?: boolean;
  readonly json?: boolean;
}

const DEFAULT_INTERVAL = '1s';
const LEAST_MS = 100;
const MOST_MS = 3_600_000;
const DECISIONS = 50;

/** Shows the fleet at work until the person leaves; one frame where there is no screen. */
export async function top(client: AdminClient, terminal: Terminal, flags: TopFlags): Promise<number> {
  const intervalMs = readInterval(flags.interval ?? DEFAULT_INTERVAL);
  if (intervalMs === null) {
    const seen = JSON.stringify(flags.interval);
    terminal.error(`swarmrouter: --interval ${seen} is not a time from 0.1 s to 1 h. Write 1s, 500ms or 2.5.`);
    return EXIT_WRONG_USE;
  }
  const first = await takeSample(client);
  if (!first.ok) {
    terminal.error(`swarmrouter: ${first.message}`);
    return EXIT_FAILED;
  }
  const { sample } = first;
  const screen = flags.once === true || flags.json === true ? null : terminal.openScreen();
  if (screen !== null) await showLive(client, terminal, screen, sample, intervalMs);
  else if (flags.json === true) terminal.out(JSON.stringify(sampleBody(sample), null, 2));
  else terminal.out(topText(sample, { before: null, url: client.url, colours: terminal.colours, problem: null }));
  return EXIT_OK;
}

function readInterval(text: string): number | null {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s)?$/.exec(text) ?? [];
  const ms = Number(number) * (unit === 'ms' ? 1 : 1_000);
  return ms >= LEAST_MS && ms <= MOST_MS ? ms : null;
}

/** A gateway that stops answering is told of on the screen, and looked for again: it may only be restarting. */
async function showLive(
  client: AdminClient,
  terminal: Terminal,
  screen: Screen,
  first: Sample,
  intervalMs: number,
): Promise<void> {
  let [now, before, problem]: [Sample, Sample | null, string | null] = [first, null, null];
  try {
    for (;;) {
      const text = topText(now, { before, url: client.url, colours: terminal.colours, problem });
      screen.draw(fitted(text, screen));
      if (!(await screen.pause(intervalMs))) return;
      const next = await Promise.race([takeSample(client), screen.left]);
      if (next === undefined) return;
      if (next.ok) [now, before, problem] = [next.sample, now, null];
      else problem = next.message;
    }
  } finally {
    screen.close();
  }
}

function fitted(text: string, { columns, rows }: Screen): string {
  const lines = text.split('\n').slice(0, rows);
  return lines.map((line) => clip(line, columns)).join('\n');
}

type Taken = { readonly ok: true; readonly sample: Sample } | { readonly ok: false; readonly message: string };

async function takeSample(client: AdminClient): Promise<Taken> {
  const [status, decisions] = await Promise.all([
    client.request('GET', '/admin/status'),
    client.request('GET', `/admin/decisions?limit=${DECISIONS}`),
  ]);
  if (!status.ok) return status;
  // A gateway that keeps no decisions is shown without them.
  return { ok: true, sample: { status: status.body, decisions: decisions.ok ? decisions.body : null } };
}

function sampleBody({ status, decisions }: Sample): object {
  return { status, decisions: fieldOf(decisions, 'decisions') ?? [] };
}
