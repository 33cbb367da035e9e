import { againOnConflict } from '../../core/again-on-conflict.ts';
import type { AuditAction, AuditOrigin, AuditSink } from '../../core/audit.ts';
import { UpstreamError } from '../../core/failure.ts';
import type { GivenProvider, GivenProviderStore, ProviderGiven } from '../../core/given-provider.ts';
import { checkRevision } from '../../core/key-store.ts';
import { PROVIDER_NAMES, type Target, type TargetId, type TargetSnapshot } from '../../core/target.ts';
import { Turns } from '../../core/turns.ts';
import { AdminError } from './error-envelope.ts';
import { type ProviderWords, warningsFor } from './given-provider-rules.ts';
import { refuseFor, shown } from './problems.ts';

/** What the service needs of the rest of the product. */
export interface GivenProviderPorts {
  /** Rejects, in words for the caller, for an address that may not be called. */
  vetAddress(url: string, network: 'lan' | 'public'): Promise<void>;
  toTarget(provider: GivenProvider): Target;
  /** A free call: never loads a model, never spends a token. */
  probe(target: Target, signal: AbortSignal): Promise<TargetSnapshot>;
  readonly store: GivenProviderStore;
  /** Where each change is put on record before it is made. */
  readonly audit: AuditSink;
  /**
   * Makes the live targets what the configuration and `inForce` say, at once. Resolves when the models of this one are
   * known or that takes too long; never throws. Null: of none, it is gone.
   */
  apply(changed: TargetId | null): void | Promise<void>;
  /** Targets of the environment, YAML and this machine: they come back when a provider that replaced one is deleted. */
  baseTargets(): readonly Target[];
  /** Names that mean something else in a model name or in the API. */
  readonly reservedNames: readonly string[];
}

/** What comes with each change. */
export interface ProviderChange {
  /** Try it with a free call first. */
  readonly verify: boolean;
  /** The revision that must be there; 0: there must be none; null: whichever. Another one rejects with RevisionConflict. */
  readonly revision: number | null;
  readonly origin: AuditOrigin;
  readonly words: ProviderFront;
}

/** How the API that the caller uses calls things. */
export interface ProviderFront extends ProviderWords {
  /** The code of a refused body. */
  readonly invalid: string;
  readonly notFound: string;
}

export interface AddedProvider {
  readonly provider: GivenProvider;
  readonly target: Target;
  /** True: it took the place of an earlier one given through this API. */
  readonly replaced: boolean;
  readonly verified: boolean;
  /** Models that the free call found; null: it was not made. */
  readonly models: number | null;
  readonly warnings: readonly string[];
}

export interface RemovedProvider {
  readonly provider: GivenProvider;
  /** The target of the environment or YAML that is in force again; null: none. */
  readonly nowInForce: Target | null;
}

/** Providers given at run time. Every rejection but RevisionConflict is an AdminError; each means that nothing changed. */
export interface GivenProviderService {
  list(): Promise<readonly GivenProvider[]>;
  /** Those in force at this moment; none before `restore`. */
  inForce(): readonly GivenProvider[];
  /** Adds one, or replaces that of its name. */
  put(given: ProviderGiven, change: ProviderChange): Promise<AddedProvider>;
  /**
   * Null: none of this name was given. @param merge what is asked for, from what is there; asked again when somebody
   * else was quicker and no revision was asked for
   */
  update(
    name: string,
    merge: (before: GivenProvider) => ProviderGiven,
    change: ProviderChange,
  ): Promise<AddedProvider | null>;
  remove(name: string, change: Omit<ProviderChange, 'verify'>): Promise<RemovedProvider>;
  /** At start: reads the stored providers and answers how many. Rejects when the store cannot be read. */
  restore(): Promise<number>;
}

/** How long a free call may take. */
const VERIFY_MS = 10_000;

export function createGivenProviders(ports: GivenProviderPorts): GivenProviderService {
  return new Service(ports);
}

class Service implements GivenProviderService {
  readonly #ports: GivenProviderPorts;
  readonly #turns = new Turns();
  #current: readonly GivenProvider[] | null = null;

  constructor(ports: GivenProviderPorts) {
    this.#ports = ports;
  }

  /** Waits for no change: one may take as long as a server that does not answer is waited for. */
  async list(): Promise<readonly GivenProvider[]> {
    return this.#current ?? this.#turns.run(() => this.#loaded().catch(failedToRead));
  }

  inForce(): readonly GivenProvider[] {
    return this.#current ?? [];
  }

  async put(given: ProviderGiven, change: ProviderChange): Promise<AddedProvider> {
    const provider = { ...given, revision: 1 };
    checkKeyKeptApart(provider, change.words);
    checkName(provider, this.#ports, change.words);
    await vet(this.#ports, provider, change.words);
    const snapshot = change.verify ? await tryProvider(this.#ports, provider) : null;
    return this.#turns.run(async () => {
      const before = await this.#loaded().catch(failedToRead);
      const former = before.find(({ name }) => name === provider.name) ?? null;
      checkProvider(former, change.revision);
      checkNotTaken(provider, former, this.#ports, change.words);
      const after = { ...provider, revision: (former?.revision ?? 0) + 1 };
      const action = former === null ? 'provider.add' : 'provider.replace';
      const next = [...before.filter((known) => known !== former), after];
      return this.#put({ before: former, after, action, next, snapshot, change });
    });
  }

  update(
    name: string,
    merge: (before: GivenProvider) => ProviderGiven,
    change: ProviderChange,
  ): Promise<AddedProvider | null> {
    return againOnConflict(change.revision, () => this.#update(name, merge, change));
  }

  remove(name: string, { revision, origin, words }: Omit<ProviderChange, 'verify'>): Promise<RemovedProvider> {
    return this.#turns.run(async () => {
      const before = await this.#loaded().catch(failedToRead);
      const provider = before.find((known) => known.name === name);
      if (provider === undefined) throw notGiven(name, before, baseTarget(this.#ports, name), words);
      checkProvider(provider, revision);
      const next = before.filter((known) => known !== provider);
      await this.#record({ origin, action: 'provider.remove', before: provider, after: null }, next);
      const base = baseTarget(this.#ports, name);
      await this.#ports.apply(base === null ? null : name);
      return { provider, nowInForce: base };
    });
  }

  restore(): Promise<number> {
    return this.#turns.run(async () => (await this.#loaded()).length);
  }

  async #update(
    name: string,
    merge: (before: GivenProvider) => ProviderGiven,
    change: ProviderChange,
  ): Promise<AddedProvider | null> {
    const known = (await this.list()).find((provider) => provider.name === name);
    if (known === undefined) return null;
    checkProvider(known, change.revision);
    const after = { ...merge(known), revision: known.revision + 1 };
    checkKeyKeptApart(after, change.words);
    checkKeyStays(known, after, change.words);
    checkPlaceStays(known, after, this.#ports, change.words);
    await vet(this.#ports, after, change.words);
    const snapshot = change.verify ? await tryProvider(this.#ports, after) : null;
    return this.#turns.run(async () => {
      const before = await this.#loaded().catch(failedToRead);
      // What was merged with is what must still be there.
      const former = before.find((provider) => provider.name === name) ?? null;
      checkProvider(former, known.revision);
      const next = before.map((provider) => (provider === former ? after : provider));
      return this.#put({ before: former, after, action: 'provider.update', next, snapshot, change });
    });
  }

  /** Saving replaces the whole list: without having read it first, a save would drop what is stored. */
  async #loaded(): Promise<readonly GivenProvider[]> {
    this.#current ??= await this.#ports.store.load();
    return this.#current;
  }

  async #put({ before, after, action, next, snapshot, change }: Put): Promise<AddedProvider> {
    await this.#record({ origin: change.origin, action, before, after }, next);
    await this.#ports.apply(after.name);
    // Made only now: a reload may have changed the usual clocks meanwhile.
    const target = this.#ports.toTarget(after);
    const others = [...this.#ports.baseTargets(), ...next.map((provider) => this.#ports.toTarget(provider))];
    const sameServer = others.filter(
      (other) => other.id !== target.id && other.source !== 'found' && other.baseUrl === target.baseUrl,
    );
    return {
      ...{ provider: after, target, replaced: before !== null, verified: change.verify },
      models: snapshot === null ? null : snapshot.models.length,
      warnings: warningsFor(after, snapshot, change.words, target.place === 'local' ? sameServer : []),
    };
  }

  /**
   * On record first, then made: a process that dies in between leaves an entry of a change that did not happen, never a
   * change without an entry. One that fails is on record as refused, too.
   */
  async #record(recorded: Recorded, next: readonly GivenProvider[]): Promise<void> {
    const { audit, store } = this.#ports;
    const event = { ...recorded, subject: `provider:${(recorded.after ?? recorded.before)?.name}` };
    await audit.record(event).catch(failedToRecord);
    try {
      await store.save(next).catch(failedToStore);
      this.#current = next;
    } catch (error) {
      const after = { error: messageOf(error) };
      // The caller is told of the first failure, which may well be the cause of this one.
      await audit.record({ ...event, after, outcome: 'refused' }).catch(() => undefined);
      throw error;
    }
  }
}

interface Recorded {
  readonly origin: AuditOrigin;
  readonly action: AuditAction;
  readonly before: GivenProvider | null;
  readonly after: GivenProvider | null;
}

interface Put extends Omit<Recorded, 'origin'> {
  readonly after: GivenProvider;
  readonly next: readonly GivenProvider[];
  readonly snapshot: TargetSnapshot | null;
  readonly change: ProviderChange;
}

function baseTarget(ports: GivenProviderPorts, id: TargetId): Target | null {
  return ports.baseTargets().find((target) => target.id === id) ?? null;
}

function checkProvider(known: GivenProvider | null, revision: number | null): void {
  checkRevision('The provider', revision, known?.revision ?? 0);
}

/** A name that stands for a whole kind may be that of one target of this kind, and of no other. */
function checkName({ name, kind }: GivenProvider, ports: GivenProviderPorts, words: ProviderFront): void {
  const ofKind = PROVIDER_NAMES[kind];
  const isReserved = ports.reservedNames.includes(name) && name !== ofKind;
  const hides =
    ofKind === null &&
    ports.baseTargets().some((base) => base.id !== name && base.provider === name && base.adapterKind !== kind);
  if (!hides && !isReserved) return;
  const allowed = 'another name: this one has a meaning of its own';
  throw refuseFor([{ field: 'name', seen: shown(name), allowed }], words.invalid);
}

/** Only a target of the same kind and place may be replaced: a name must not silently change what it stands for. */
function checkNotTaken(
  provider: GivenProvider,
  former: GivenProvider | null,
  ports: GivenProviderPorts,
  words: ProviderFront,
): void {
  const target = ports.toTarget(provider);
  const known = former === null ? baseTarget(ports, provider.name) : ports.toTarget(former);
  if (known === null || (known.adapterKind === target.adapterKind && known.place === target.place)) return;
  const from = known.source === 'admin' ? 'admin API' : known.source;
  const owner = `a ${known.place} ${known.adapterKind} target from the ${from}`;
  const allowed = `another name: ${owner} has this one`;
  throw refuseFor([{ field: 'name', seen: shown(provider.name), allowed }], words.invalid);
}

/** As `checkNotTaken`: what was local must not silently cost money. */
function checkPlaceStays(
  before: GivenProvider,
  after: GivenProvider,
  ports: GivenProviderPorts,
  words: ProviderFront,
): void {
  const { place } = ports.toTarget(before);
  if (ports.toTarget(after).place === place) return;
  const allowed = `"${place}", as it is now; to move it, delete it and add it anew`;
  throw refuseFor([{ field: 'place', seen: shown(after.place), allowed }], words.invalid);
}

/** A key pasted into a second field would be shown wherever that field is. Shorter ones may occur by chance. */
function checkKeyKeptApart({ apiKey, ...others }: GivenProvider, words: ProviderFront): void {
  const key = apiKey?.reveal() ?? '';
  if (key.length < 12 || !JSON.stringify(others).includes(key)) return;
  throw refuseFor([{ field: 'api_key', seen: 'also in another field', allowed: 'in api_key alone' }], words.invalid);
}

/** A key goes only where it was given for: whoever may change an address must not learn the key by it. */
function checkKeyStays(before: GivenProvider, after: GivenProvider, words: ProviderFront): void {
  if (before.apiKey === null || before.apiKey !== after.apiKey || originOf(before) === originOf(after)) return;
  const allowed = 'given again, or null: the one that is there was given for another address';
  throw refuseFor([{ field: 'api_key', seen: 'left out', allowed }], words.invalid);
}

const originOf = ({ url }: GivenProvider): string | null => (url === null ? null : new URL(url).origin);

async function vet(ports: GivenProviderPorts, provider: GivenProvider, words: ProviderFront): Promise<void> {
  const { url, network, apiKey } = provider;
  if (url === null) return;
  try {
    await ports.vetAddress(url, network);
  } catch (error) {
    const allowed = `an address that may be called (${withoutKey(messageOf(error), provider)})`;
    throw refuseFor([{ field: words.url, seen: shown(url, apiKey?.reveal() ?? null), allowed }], words.invalid);
  }
}

async function tryProvider(ports: GivenProviderPorts, provider: GivenProvider): Promise<TargetSnapshot> {
  try {
    return await ports.probe(ports.toTarget(provider), AbortSignal.timeout(VERIFY_MS));
  } catch (error) {
    const kind = error instanceof UpstreamError ? ` (${error.kind})` : '';
    throw new AdminError(
      422,
      'verification_failed',
      `A free call to ${provider.name} failed${kind}: ${withoutKey(messageOf(error), provider)}. Nothing was changed. ` +
        'Correct the key or the address, or send "verify": false to add it untried.',
      { param: error instanceof UpstreamError && error.kind === 'badCredentials' ? 'api_key' : null },
    );
  }
}

function notGiven(
  name: string,
  providers: readonly GivenProvider[],
  base: Target | null,
  words: ProviderFront,
): AdminError {
  const names = providers.map((provider) => provider.name);
  const known = names.length === 0 ? 'None was added through this API.' : `Known: ${names.join(', ')}.`;
  const elsewhere = base === null ? '' : ` A target of that name comes from the ${base.source}; take it out there.`;
  const what = words.notFound.replace('_not_found', '').replaceAll('_', ' ');
  return new AdminError(404, words.notFound, `No ${what} is named ${shown(name)}. ${known}${elsewhere}`, {
    param: 'name',
  });
}

function failedToStore(error: unknown): never {
  throw new AdminError(500, 'not_stored', `It could not be stored (${messageOf(error)}); nothing was changed.`);
}

function failedToRecord(error: unknown): never {
  const message = `It could not be put on the audit log (${messageOf(error)}); nothing was changed.`;
  throw new AdminError(500, 'not_recorded', message);
}

function failedToRead(error: unknown): never {
  throw new AdminError(500, 'not_readable', `${messageOf(error)} Nothing was changed.`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A provider may repeat the key that it refuses. */
function withoutKey(message: string, { apiKey }: GivenProvider): string {
  const key = apiKey?.reveal() ?? '';
  return (key === '' ? message : message.replaceAll(key, '[secret]')).slice(0, 500).replace(/[.\s]+$/, '');
}
