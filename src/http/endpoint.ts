import type { Caller } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InferenceRequest } from '../core/request.ts';
import type { Route } from '../core/route.ts';
import type { TargetView } from '../core/target-view.ts';
import type { Engine } from '../router/serve.ts';
import type { AdminConnection, RequestOrigin, ResponseTap, SetIdleTimeout } from './connection.ts';
import { HttpError } from './http-error.ts';
import type { BodyReader } from './read-body.ts';

export interface HttpServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly loopback: boolean;
  readonly allowedHosts: readonly string[];
  readonly maxBodyBytes: number;
  readonly version: string;
}

type Admission<Granted> = ({ readonly ok: true } & Granted) | { readonly ok: false; readonly refusal: Refusal };

export interface HttpServerParts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly bodies: BodyReader;
  /** Who asks, at the other end of this connection or behind it. */
  readonly clientAddress: (peer: string, headers: Headers) => string;
  /** Credential → who is calling? */
  readonly admit: (headers: Headers, from: () => RequestOrigin) => Admission<{ readonly caller: Caller }>;
  /** The same for what tells of all tenants: the operator, or anybody while no key is needed. */
  readonly admitOperator: (headers: Headers, from: () => RequestOrigin) => Admission<unknown>;
  /** What the caller may ask for, and how much. The request that comes back is the one to serve. */
  readonly admitRequest: (
    request: InferenceRequest,
    from: () => RequestOrigin,
  ) => Admission<{ readonly request: InferenceRequest }>;
  /** Only where the targets were looked at was it seen that its key does not allow the request. */
  readonly noteNotAllowed: (
    request: InferenceRequest,
    refusal: { readonly code: string },
    from: () => RequestOrigin,
  ) => void;
  /** Whether the caller sees this model in lists. */
  readonly shows: (caller: Caller, model: string) => boolean;
  /** Why inference requests are refused now, counting one; null: they are not. */
  readonly refuseOverload: () => string | null;
  /** The same without counting. */
  readonly overload: () => string | null;
  /** What `x-swarmrouter-route` may say. */
  readonly routes: () => ReadonlyMap<string, Route>;
  readonly modelAliases: () => ReadonlyMap<string, string>;
  readonly targets: () => readonly TargetView[];
  /** True once every target of the start has been probed. */
  readonly probed: () => boolean;
  /** Resolves then, or when that takes too long. */
  readonly firstRound: () => Promise<void>;
  readonly metricsText: () => Promise<string>;
  /** Sees the bytes of each reply when replies are logged; null: they are not. */
  readonly tapResponse: ((requestId: string, caller: Caller) => ResponseTap | null) | null;
  /** The control plane, loaded at its first request: it must not slow the start. */
  readonly admin: () => Promise<(request: Request, from: AdminConnection) => Response | Promise<Response>>;
}

/** What every endpoint is made with. */
export interface EndpointContext {
  readonly options: HttpServerOptions;
  readonly parts: HttpServerParts;
  /** Monotonic. */
  readonly startedAtMs: number;
  readonly isDraining: () => boolean;
}

/** One endpoint. Throws HttpError for what it refuses. */
export type Endpoint = (
  request: Request,
  id: string,
  setIdleTimeout: SetIdleTimeout,
  from: () => RequestOrigin,
) => Response | Promise<Response>;

/** Refuses whoever may not use the data plane, before a byte of the body is read. */
export function authorize({ parts }: EndpointContext, headers: Headers, from: () => RequestOrigin): Caller {
  const admitted = parts.admit(headers, from);
  if (admitted.ok) return admitted.caller;
  throw refusalError(admitted.refusal);
}

/** Refuses whoever may not see what is of all tenants. */
export function authorizeOperator({ parts }: EndpointContext, headers: Headers, from: () => RequestOrigin): void {
  const admitted = parts.admitOperator(headers, from);
  if (!admitted.ok) throw refusalError(admitted.refusal);
}

export function refusalError({ status, code, message, param, headers }: Refusal): HttpError {
  return new HttpError(status, code, message, { param, headers });
}

/** Refuses new work while the process cannot keep up with what it has, before a byte of the body is read. */
export function shedLoad({ parts }: EndpointContext): void {
  const overload = parts.refuseOverload();
  if (overload === null) return;
  throw new HttpError(503, 'gateway_overloaded', `${overload}; ask again in a second.`, {
    headers: { 'retry-after': '1', connection: 'close' },
  });
}
