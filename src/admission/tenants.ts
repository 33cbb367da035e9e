import { againOnConflict } from '../core/again-on-conflict.ts';
import type { AuditEvent, AuditOrigin } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import { checkRevision } from '../core/key-store.ts';
import type { Organisation, Project, TenantStore } from '../core/tenants.ts';

/** Makes and renames organisations and their projects. Null: there is no such one. */
export class Tenants {
  readonly #store: TenantStore;
  readonly #clock: Pick<Clock, 'wallMs'>;

  constructor(store: TenantStore, clock: Pick<Clock, 'wallMs'>) {
    this.#store = store;
    this.#clock = clock;
  }

  /** By id. */
  organisations(): Promise<readonly Organisation[]> {
    return this.#store.organisations();
  }

  /** By id. */
  projects(organisationId: string): Promise<readonly Project[]> {
    return this.#store.projects(organisationId);
  }

  /** Rejects with TenantExists. */
  async createOrganisation(
    given: Pick<Organisation, 'organisationId' | 'name'>,
    origin: AuditOrigin,
  ): Promise<Organisation> {
    const made = { ...given, createdAtMs: this.#clock.wallMs(), revision: 1 };
    await this.#store.createOrganisation(made, organisationEvent('create', origin, null, made));
    return made;
  }

  /** Rejects with TenantExists. */
  async createProject(
    given: Pick<Project, 'organisationId' | 'projectId' | 'name'>,
    origin: AuditOrigin,
  ): Promise<Project> {
    const made = { ...given, createdAtMs: this.#clock.wallMs(), revision: 1 };
    await this.#store.createProject(made, projectEvent('create', origin, null, made));
    return made;
  }

  /** Rejects with RevisionConflict. */
  renameOrganisation(
    organisationId: string,
    name: string,
    revision: number | null,
    origin: AuditOrigin,
  ): Promise<Organisation | null> {
    return againOnConflict(revision, async () => {
      const before = (await this.organisations()).find((one) => one.organisationId === organisationId);
      if (before === undefined) return null;
      checkRevision('It', revision, before.revision);
      const after = { ...before, name, revision: before.revision + 1 };
      await this.#store.renameOrganisation(before, name, organisationEvent('update', origin, before, after));
      return after;
    });
  }

  /** Rejects with RevisionConflict. */
  renameProject(
    { organisationId, projectId }: Pick<Project, 'organisationId' | 'projectId'>,
    name: string,
    revision: number | null,
    origin: AuditOrigin,
  ): Promise<Project | null> {
    return againOnConflict(revision, async () => {
      const before = (await this.projects(organisationId)).find((one) => one.projectId === projectId);
      if (before === undefined) return null;
      checkRevision('It', revision, before.revision);
      const after = { ...before, name, revision: before.revision + 1 };
      await this.#store.renameProject(before, name, projectEvent('update', origin, before, after));
      return after;
    });
  }
}

type Deed = 'create' | 'update';

/** On the log of whoever runs the gateway: an organisation does not make itself. */
function organisationEvent(
  deed: Deed,
  origin: AuditOrigin,
  before: Organisation | null,
  after: Organisation,
): AuditEvent {
  return { origin, action: `organisation.${deed}`, subject: `organisation:${after.organisationId}`, before, after };
}

function projectEvent(deed: Deed, origin: AuditOrigin, before: Project | null, after: Project): AuditEvent {
  const { organisationId, projectId } = after;
  return { origin, action: `project.${deed}`, subject: `project:${projectId}`, before, after, organisationId };
}
