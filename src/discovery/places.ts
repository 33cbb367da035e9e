import { isIP } from 'node:net';
import type { Problem } from '../core/problem.ts';
import { readSubnet, SUBNETS } from './subnet.ts';

/** Where a model server may be. */
export interface Place {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** What a person asked for; null: not said. */
export interface Asked {
  readonly subnets: readonly string[] | null;
  readonly hosts: readonly string[] | null;
  readonly ports: readonly string[] | null;
}

/** Where to look. */
export interface Field {
  /** As people read it: `127.0.0.1`, `192.168.1.0/24`. */
  readonly where: readonly string[];
  readonly ports: readonly number[];
  readonly places: readonly Place[];
}

/** LM Studio, Ollama, llama.cpp (two), vLLM, SGLang. */
export const USUAL_PORTS: readonly number[] = [1234, 11434, 8080, 9931, 8000, 30000];
const THIS_MACHINE = '127.0.0.1';
/** More would take longer than anybody waits. */
const MOST_PLACES = 65_536;

const HOSTS = 'a host name or IP address, without a port';
const PORTS = 'ports from 1 to 65535, separated by commas';

export type FieldRead =
  | { readonly ok: true; readonly field: Field }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Checks what was asked for, all of it at once. Without a network and a host: this machine. */
export function readField(asked: Asked): FieldRead {
  const problems: Problem[] = [];
  const subnets = items(asked.subnets).map((subnet) => ({ written: subnet, read: readSubnet(subnet) }));
  for (const { written, read } of subnets) {
    if (!read.ok) problems.push(problem('--subnet', written, read.reason, SUBNETS, 'write --subnet 192.168.1.0/24'));
  }
  const hosts = items(asked.hosts).map(bareHost);
  for (const host of hosts) {
    const reason = hostFault(host);
    if (reason !== null) problems.push(problem('--host', host, reason, HOSTS, 'write --host studio.local'));
  }
  const ports = asked.ports === null ? USUAL_PORTS : readPorts(asked.ports, problems);
  if (problems.length > 0) return { ok: false, problems };

  const isAnywhere = asked.subnets !== null || asked.hosts !== null;
  const addresses = subnets.flatMap(({ read }) => (read.ok ? read.addresses : []));
  const everywhere = [...new Set([...hosts, ...addresses, ...(isAnywhere ? [] : [THIS_MACHINE])])];
  const count = everywhere.length * ports.length;
  if (count > MOST_PLACES) {
    const message = `${everywhere.length} addresses with ${ports.length} ports each are ${count} places to try`;
    const allowed = `at most ${MOST_PLACES}`;
    return { ok: false, problems: [problem('--ports', ports.join(','), message, allowed, 'name fewer ports')] };
  }
  const where = isAnywhere ? [...hosts, ...subnets.map(({ written }) => written)] : [THIS_MACHINE];
  return {
    ok: true,
    field: { where, ports, places: everywhere.flatMap((host) => ports.map((port) => ({ host, port }))) },
  };
}

function problem(name: string, seen: string, message: string, allowed: string, fix: string): Problem {
  return { where: 'the command line', name, seen, message, allowed, fix };
}

/** A flag may be repeated, and hold several by commas. An empty one is kept: it is a mistake to tell of. */
const items = (written: readonly string[] | null): string[] =>
  (written ?? []).flatMap((one) => one.split(',').map((part) => part.trim()));

const bareHost = (host: string): string => host.replace(/^\[(.*)\]$/, '$1').toLowerCase();

function hostFault(host: string): string | null {
  if (isIP(host) !== 0) return null;
  if (host.includes('/')) return host.includes('://') ? 'it is a URL' : 'it is a network; --subnet takes those';
  if (/:\d+$/.test(host)) return 'it holds a port; --ports takes those';
  // A name that ends in a number would be read as an address with parts left out.
  return /^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_.])?$/.test(host) && !/(^|\.)\d+\.?$/.test(host)
    ? null
    : 'it is not a host name';
}

function readPorts(written: readonly string[], problems: Problem[]): number[] {
  const ports = new Set<number>();
  for (const one of items(written)) {
    const port = /^\d{1,5}$/.test(one) ? Number(one) : 0;
    if (port >= 1 && port <= 65_535) ports.add(port);
    else problems.push(problem('--ports', one, 'it is not a port', PORTS, 'write --ports 1234,11434'));
  }
  return [...ports];
}
