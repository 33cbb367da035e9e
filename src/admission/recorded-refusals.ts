import type { AuditAction, AuditEvent, AuditOrigin, AuditSink } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';

/** A refusal that goes on record. */
export interface RefusalEvent {
  readonly action: AuditAction;
  /** A kind and a name, or a kind alone. */
  readonly subject: string;
  readonly origin: AuditOrigin;
  /** One of a few words of ours; null: there is only one. */
  readonly reason: string | null;
  /** Default: `default`. */
  readonly organisationId?: string;
  /** More of it, in plain data. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface RecordedRefusalsParts {
  readonly audit: AuditSink;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Of each action and reason, so many go on record one by one in each span of this length; the rest as one entry with their number. */
export const MOST_RECORDED = 10;
export const SPAN_MS = 600_000;
/** Addresses that such an entry names; the rest of them count together. */
const MOST_ADDRESSES = 20;
const NOT_KNOWN = 'not known';
const OTHERS = 'others';

interface Span {
  recorded: number;
  leftOut: number;
  readonly byAddress: Map<string, number>;
  readonly event: RefusalEvent;
  readonly sinceWallMs: number;
  readonly cancel: () => void;
}

/** Puts refusals on record, and keeps whoever is refused on and on from filling the store. Nobody waits for it. */
export class RecordedRefusals {
  readonly #parts: RecordedRefusalsParts;
  /** By organisation, action and reason: many of one must not hide a few of another. */
  readonly #spans = new Map<string, Span>();
  readonly #writing = new Set<Promise<void>>();

  constructor(parts: RecordedRefusalsParts) {
    this.#parts = parts;
  }

  note(event: RefusalEvent): void {
    const span = this.#spans.get(kindOf(event)) ?? this.#begin(event);
    if (span.recorded < MOST_RECORDED) {
      span.recorded++;
      const { action, subject, origin } = event;
      this.#write({ action, subject, origin, after: detailsOf(event), outcome: 'refused', ...tenantOf(event) });
      return;
    }
    span.leftOut++;
    const address = event.origin.peerAddress ?? NOT_KNOWN;
    const isNamed = span.byAddress.has(address) || span.byAddress.size < MOST_ADDRESSES;
    const counted = isNamed ? address : OTHERS;
    span.byAddress.set(counted, (span.byAddress.get(counted) ?? 0) + 1);
  }

  /** What was left out until now goes on record. Resolves when all of it is. */
  async close(): Promise<void> {
    for (const span of [...this.#spans.values()]) this.#end(span);
    await Promise.all(this.#writing);
  }

  #begin(event: RefusalEvent): Span {
    const { clock } = this.#parts;
    const span: Span = {
      recorded: 0,
      leftOut: 0,
      byAddress: new Map(),
      event,
      sinceWallMs: clock.wallMs(),
      cancel: clock.after(SPAN_MS, () => this.#end(span)),
    };
    this.#spans.set(kindOf(event), span);
    return span;
  }

  #end(span: Span): void {
    const { action, subject, reason } = span.event;
    span.cancel();
    this.#spans.delete(kindOf(span.event));
    if (span.leftOut === 0) return;
    this.#write({
      action,
      // They are of many.
      subject: subject.replace(/:.*$/s, ':*'),
      origin: { actor: { kind: 'anyone', id: null }, peerAddress: null, requestId: null },
      after: {
        ...(reason === null ? {} : { reason }),
        left_out: span.leftOut,
        since: new Date(span.sinceWallMs).toISOString(),
        by_address: Object.fromEntries(span.byAddress),
      },
      outcome: 'refused',
      ...tenantOf(span.event),
    });
  }

  #write(event: AuditEvent): void {
    const writing = this.#parts.audit
      .record(event)
      .catch((error: unknown) => {
        const fields = { action: event.action, error: String(error) };
        this.#parts.logger.warn(fields, 'a refusal could not be put on the audit log');
      })
      .finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  }
}

const kindOf = ({ action, reason, organisationId = '' }: RefusalEvent): string =>
  `${organisationId} ${action} ${reason ?? ''}`;

const tenantOf = ({ organisationId }: RefusalEvent) => (organisationId === undefined ? {} : { organisationId });

function detailsOf({ reason, details = {} }: RefusalEvent): unknown {
  if (reason === null && Object.keys(details).length === 0) return null;
  return { ...(reason === null ? {} : { reason }), ...details };
}
