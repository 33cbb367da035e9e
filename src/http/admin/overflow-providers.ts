import type { AuditAction, AuditOrigin, AuditSink } from '../../core/audit.ts';
import { UpstreamError } from '../../core/failure.ts';
import type { OverflowProvider, OverflowProviderStore } from '../../core/overflow-provider.ts';
import type { Target, TargetId, TargetSnapshot } from '../../core/target.ts';
import { AdminError } from './error-envelope.ts';
import { addressOf, warningsFor } from './overflow-provider-rules.ts';
import { refuseFor, shown } from './problems.ts';

/** What the service needs of the rest of the product. */
export interface OverflowProviderPorts {
  /** Rejects, in words for the caller, for an address that may not be called. */
  vetAddress(url: string, network: 'lan' | 'public'): Promise<void>;
  toTarget(provider: OverflowProvider): Target;
  /** A free call: never loads a model, never spends a token. */
  probe(target: Target, signal: AbortSignal): Promise<TargetSnapshot>;
  readonly store: OverflowProviderStore;
  /** Where each change is put on record before it is made. */
  readonly audit: AuditSink;
  /** The live targets. `put` adds or replaces by id, and resolves when its models are known or that takes too long; none of these throws. */
  readonly directory: {
    put(target: Target): void | Promise<void>;
    remove(id: TargetId): void;
    has(id: TargetId): boolean;
  };
  /** Targets that the environment and YAML give: they come back when a provider that replaced one is deleted. */
  baseTargets(): readonly Target[];
  /** Names that mean something else in a model name or in the API. */
  readonly reservedNames: readonly string[];
}

export interface AddedProvider {
  readonly provider: OverflowProvider;
  readonly target: Target;
  /** True: it took the place of an earlier one given through this API. */
  readonly replaced: boolean;
  readonly verified: boolean;
  /** Models that the free call found; null: it was not made. */
  readonly models: number | null;
  readonly warnings: readonly string[];
}

export interface RemovedProvider {
  readonly provider: OverflowProvider;
  /** The target of the environment or YAML that is in force again; null: none. */
  readonly nowInForce: Target | null;
}

/** Overflow providers given at run time. Every rejection is an AdminError and means that nothing changed. */
export interface OverflowProviderService {
  list(): Promise<readonly OverflowProvider[]>;
  /** Those in force at this moment; none before `restore`. */
  inForce(): readonly OverflowProvider[];
  add(provider: OverflowProvider, verify: boolean, origin: AuditOrigin): Promise<AddedProvider>;
  remove(name: string, origin: AuditOrigin): Promise<RemovedProvider>;
  /** At start: puts the stored providers into force and answers how many. Rejects when the store cannot be read. */
  restore(): Promise<number>;
}

interface RecordedChange {
  readonly origin: AuditOrigin;
  readonly action: AuditAction;
  readonly name: string;
  readonly before: OverflowProvider | null;
  readonly after: OverflowProvider | null;
}

/** How long a free call may take. */
const VERIFY_MS = 10_000;

export function createOverflowProviders(ports: OverflowProviderPorts): OverflowProviderService {
  const inTurn = oneAtATime();
  let current: readonly OverflowProvider[] | null = null;
  // Saving replaces the whole list: without having read it first, a save would drop what is stored.
  const loaded = async (): Promise<readonly OverflowProvider[]> => {
    current ??= await ports.store.load();
    return current;
  };
  const persist = async (next: readonly OverflowProvider[]): Promise<void> => {
    await ports.store.save(next).catch(failedToStore);
    current = next;
  };
  /**
   * On record first, then made: a process that dies in between leaves an entry of a change that did not happen, never a
   * change without an entry. One that fails is on record as refused, too.
   */
  const change = async (recorded: RecordedChange, next: readonly OverflowProvider[]): Promise<void> => {
    const event = { ...recorded, subject: `provider:${recorded.name}` };
    await ports.audit.record(event).catch(failedToRecord);
    try {
      await persist(next);
    } catch (error) {
      const after = { error: messageOf(error) };
      // The caller is told of the first failure, which may well be the cause of this one.
      await ports.audit.record({ ...event, after, outcome: 'refused' }).catch(() => undefined);
      throw error;
    }
  };
  const baseTarget = (id: TargetId): Target | null => ports.baseTargets().find((target) => target.id === id) ?? null;

  return {
    list: () => inTurn(() => loaded().catch(failedToRead)),
    inForce: () => current ?? [],

    async add(provider, verify, origin) {
      checkKeyKeptApart(provider);
      checkName(provider, ports.toTarget(provider));
      await vet(ports, provider);
      const snapshot = verify ? await tryProvider(ports, provider, ports.toTarget(provider)) : null;
      return inTurn(async () => {
        const before = await loaded().catch(failedToRead);
        checkNotTaken(provider, ports.toTarget(provider), before);
        const former = before.find(({ name }) => name === provider.name) ?? null;
        const action = former === null ? 'provider.add' : 'provider.replace';
        const next = [...before.filter((known) => known !== former), provider];
        await change({ origin, action, name: provider.name, before: former, after: provider }, next);
        // Made only now: a reload may have changed the clocks meanwhile.
        const target = ports.toTarget(provider);
        await ports.directory.put(target);
        const models = snapshot === null ? null : snapshot.models.length;
        const replaced = former !== null;
        return { provider, target, replaced, verified: verify, models, warnings: warningsFor(provider, snapshot) };
      });
    },

    remove: (name, origin) =>
      inTurn(async () => {
        const before = await loaded().catch(failedToRead);
        const provider = before.find((known) => known.name === name);
        if (provider === undefined) throw notFound(name, before, baseTarget(name));
        const next = before.filter((known) => known !== provider);
        await change({ origin, action: 'provider.remove', name, before: provider, after: null }, next);
        const { id } = ports.toTarget(provider);
        const base = baseTarget(id);
        if (base === null) ports.directory.remove(id);
        else await ports.directory.put(base);
        return { provider, nowInForce: base };
      }),

    restore: () =>
      inTurn(async () => {
        const providers = await loaded();
        for (const provider of providers) void ports.directory.put(ports.toTarget(provider));
        return providers.length;
      }),
  };

  function checkName(provider: OverflowProvider, target: Target): void {
    if (provider.type !== 'openai-compatible') return;
    const hides = ports
      .baseTargets()
      .some(
        (base) => base.id !== target.id && base.provider === provider.name && base.adapterKind !== target.adapterKind,
      );
    if (!hides && !ports.reservedNames.includes(provider.name)) return;
    throw refuseFor([
      { field: 'name', seen: shown(provider.name), allowed: 'another name: this one has a meaning of its own' },
    ]);
  }

  /** Only a cloud target of the same kind may be replaced: a name must not silently change what it stands for. */
  function checkNotTaken(provider: OverflowProvider, target: Target, before: readonly OverflowProvider[]): void {
    const base = baseTarget(target.id);
    const replaceable = base !== null && base.place === 'cloud' && base.adapterKind === target.adapterKind;
    const ours = before.some(({ name, type }) => name === provider.name && type === provider.type);
    if (replaceable || ours || (base === null && !ports.directory.has(target.id))) return;
    const owner = base === null ? 'another target' : `a ${base.adapterKind} target from the ${base.source}`;
    throw refuseFor([{ field: 'name', seen: shown(provider.name), allowed: `another name: ${owner} has this one` }]);
  }
}

/** A key pasted into a second field would be shown wherever that field is. Shorter ones may occur by chance. */
function checkKeyKeptApart({ apiKey, ...others }: OverflowProvider): void {
  const key = apiKey.reveal();
  if (key.length < 12 || !JSON.stringify(others).includes(key)) return;
  throw refuseFor([{ field: 'api_key', seen: 'also in another field', allowed: 'in api_key alone' }]);
}

async function vet(ports: OverflowProviderPorts, provider: OverflowProvider): Promise<void> {
  const address = addressOf(provider);
  if (address === null) return;
  try {
    await ports.vetAddress(address.url, address.network);
  } catch (error) {
    const allowed = `an address that may be called (${withoutKey(messageOf(error), provider)})`;
    throw refuseFor([{ field: address.field, seen: shown(address.url, provider.apiKey.reveal()), allowed }]);
  }
}

async function tryProvider(
  ports: OverflowProviderPorts,
  provider: OverflowProvider,
  target: Target,
): Promise<TargetSnapshot> {
  try {
    return await ports.probe(target, AbortSignal.timeout(VERIFY_MS));
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

function notFound(name: string, providers: readonly OverflowProvider[], base: Target | null): AdminError {
  const names = providers.map((provider) => provider.name);
  const known = names.length === 0 ? 'None was added through this API.' : `Known: ${names.join(', ')}.`;
  const elsewhere = base === null ? '' : ` A target of that name comes from the ${base.source}; take it out there.`;
  return new AdminError(
    404,
    'overflow_provider_not_found',
    `No overflow provider is named ${shown(name)}. ${known}${elsewhere}`,
    {
      param: 'name',
    },
  );
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
function withoutKey(message: string, provider: OverflowProvider): string {
  return message
    .replaceAll(provider.apiKey.reveal(), '[secret]')
    .slice(0, 500)
    .replace(/[.\s]+$/, '');
}

/** Runs the jobs strictly one after the other; a failed one does not stop the next. */
function oneAtATime(): <Result>(job: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve();
  return (job) => {
    const result = last.then(job, job);
    last = result.catch(() => undefined);
    return result;
  };
}
