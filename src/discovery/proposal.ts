import { type AdapterKind, PROVIDER_NAMES } from '../core/target.ts';
import type { FoundServer } from './scan.ts';

/** A found server as an entry of `targets:`. */
export interface Proposal {
  readonly name: string;
  readonly kind: AdapterKind;
  readonly url: string;
  /** Lines that only a person can decide on, without the `#`. */
  readonly hints: readonly string[];
}

const MOST_LETTERS = 64;

/** Names the servers as people would: `lmstudio-192-168-1-20`, and with the port where there are several of a kind. */
export function proposalsFor(servers: readonly FoundServer[], taken: Iterable<string>): Proposal[] {
  const used = new Set(taken);
  return servers.map((server) => {
    const name = freeName(server, used);
    used.add(name);
    return { name, kind: server.kind, url: server.url, hints: hintsFor(server) };
  });
}

function freeName({ kind, host, port }: FoundServer, used: ReadonlySet<string>): string {
  const first = `${PROVIDER_NAMES[kind] ?? 'openai'}-${host.toLowerCase()}`.replaceAll(/[^a-z0-9]+/g, '-');
  for (let count = 0; ; count++) {
    const ending = count === 0 ? '' : count === 1 ? `-${port}` : `-${port}-${count}`;
    const name = `${first.slice(0, MOST_LETTERS - ending.length).replace(/-+$/, '')}${ending}`;
    if (!used.has(name)) return name;
  }
}

function hintsFor({ kind, wantsKey }: FoundServer): string[] {
  const hints: string[] = [];
  if (wantsKey) hints.push('api_key: env:NAME_OF_A_VARIABLE   it answers nobody without its key');
  // It may be a proxy to a cloud: taken for local, prompts that must not leave the house would.
  if (kind === 'openai-compatible')
    hints.push('place: local   if it runs on your own machines; else it counts as cloud');
  return hints;
}

/** Ready to be put into swarmrouter.yaml. Names and addresses need no quotes: they hold letters, digits, `.:/[]_-`. */
export function yamlOf(proposals: readonly Proposal[]): string {
  const entries = proposals.flatMap(({ name, kind, url, hints }) => [
    `  - name: ${name}`,
    `    kind: ${kind}`,
    `    url: ${url}`,
    ...hints.map((hint) => `    # ${hint}`),
  ]);
  return ['targets:', ...entries, ''].join('\n');
}
