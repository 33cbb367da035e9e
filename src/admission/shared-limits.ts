import { againOnConflict } from '../core/again-on-conflict.ts';
import type { AuditEvent, AuditOrigin } from '../core/audit.ts';
import { NoSuchProject } from '../core/budget-store.ts';
import { checkRevision } from '../core/key-store.ts';
import { type Limits, NO_LIMITS, type SharedLimit } from '../core/limits.ts';
import type { SharedLimitStore } from '../core/tenants.ts';

export type LimitPlace = Pick<SharedLimit, 'organisationId' | 'scope' | 'scopeId'>;

export interface SharedLimitsParts {
  readonly store: SharedLimitStore;
  /** Ids. */
  readonly projects: (organisationId: string) => Promise<readonly string[]>;
  /** After a change is stored: puts it in force. */
  readonly onStored: () => Promise<void>;
}

/** Sets and ends limits that all keys of an organisation or project, or all calls of a model, share. */
export class SharedLimitDesk {
  readonly #parts: SharedLimitsParts;

  constructor(parts: SharedLimitsParts) {
    this.#parts = parts;
  }

  async of(organisationId: string): Promise<readonly SharedLimit[]> {
    return (await this.#parts.store.all()).filter((limit) => limit.organisationId === organisationId);
  }

  /**
   * What is given takes the place of what was there. Rejects with NoSuchProject, and with RevisionConflict.
   * @param revision the one that is to be there; null: whichever
   */
  async set(
    place: LimitPlace,
    given: Partial<Limits>,
    revision: number | null,
    origin: AuditOrigin,
  ): Promise<SharedLimit> {
    const { store, projects, onStored } = this.#parts;
    await checkProject(place, projects);
    return againOnConflict(revision, async () => {
      const before = await this.#find(place, revision);
      const limits = { ...(before?.limits ?? NO_LIMITS), ...given };
      const after = { ...place, limits, revision: (before?.revision ?? 0) + 1 };
      await store.set(after, after.revision - 1, eventOf('set', origin, before, after));
      await onStored();
      return after;
    });
  }

  /** What it was. Null: there was none. Rejects with RevisionConflict. */
  async remove(place: LimitPlace, revision: number | null, origin: AuditOrigin): Promise<SharedLimit | null> {
    return againOnConflict(revision, async () => {
      const before = await this.#find(place, revision);
      if (before === null) return null;
      await this.#parts.store.remove(before, eventOf('remove', origin, before, null));
      await this.#parts.onStored();
      return before;
    });
  }

  async #find({ organisationId, scope, scopeId }: LimitPlace, revision: number | null): Promise<SharedLimit | null> {
    const all = await this.of(organisationId);
    const found = all.find((limit) => limit.scope === scope && limit.scopeId === scopeId) ?? null;
    checkRevision('The limit', revision, found?.revision ?? 0);
    return found;
  }
}

/** A limit for a name that was mistyped would limit nobody. */
async function checkProject(
  { organisationId, scope, scopeId }: LimitPlace,
  projects: SharedLimitsParts['projects'],
): Promise<void> {
  if (scope !== 'project') return;
  const known = await projects(organisationId);
  if (!known.includes(scopeId)) throw new NoSuchProject(scopeId, known);
}

function eventOf(
  deed: 'set' | 'remove',
  origin: AuditOrigin,
  before: SharedLimit | null,
  after: SharedLimit | null,
): AuditEvent {
  const { organisationId, scope, scopeId } = (after ?? before) as SharedLimit;
  const shown = { before: before?.limits ?? null, after: after?.limits ?? null };
  return { origin, action: `limit.${deed}`, subject: `limit:${scope}/${scopeId}`, organisationId, ...shown };
}
