import { authorizeOperator, type Endpoint, type EndpointContext } from './endpoint.ts';
import { healthReport } from './health.ts';

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** GET /health: 200 while the process can serve. */
export function health({ options, parts, startedAtMs }: EndpointContext): Endpoint {
  return () => Response.json(healthReport(parts.targets(), options.version, parts.clock.nowMs() - startedAtMs));
}

/** GET /ready: 503 with the reason while traffic should go elsewhere. */
export function ready(context: EndpointContext): Endpoint {
  return () => {
    const reason = unreadyReason(context);
    return reason === null ? Response.json({ ready: true }) : Response.json({ ready: false, reason }, { status: 503 });
  };
}

function unreadyReason({ parts, isDraining }: EndpointContext): string | null {
  if (isDraining()) return 'shutting down';
  if (!parts.probed()) return 'the first round of probes has not ended';
  const overload = parts.overload();
  if (overload !== null) return overload;
  const usable = parts.targets().some((view) => view.health === 'up' || view.health === 'warming');
  return usable ? null : 'no target is up';
}

/** GET /metrics, in Prometheus' text form. */
export function metrics(context: EndpointContext): Endpoint {
  return async (request, _id, _setIdleTimeout, from) => {
    authorizeOperator(context, request.headers, from);
    return new Response(await context.parts.metricsText(), { headers: { 'content-type': METRICS_TYPE } });
  };
}

/** GET /: what this is, and where the doors are. */
export function root({ options }: EndpointContext): Endpoint {
  const links = {
    health: '/health',
    models: '/v1/models',
    docs: '/docs',
    login: '/login',
    openapi: '/openapi.json',
    metrics: '/metrics',
  };
  return () => Response.json({ service: 'SwarmRouter', code_name: 'Waggle', version: options.version, links });
}

/** Everything of the control plane. */
export function admin({ parts }: EndpointContext): Endpoint {
  return async (request, _id, setIdleTimeout, from) => (await parts.admin())(request, { ...from(), setIdleTimeout });
}
