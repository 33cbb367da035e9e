import type { Caller } from '../../core/caller.ts';
import { authorize, type Endpoint, type EndpointContext } from '../endpoint.ts';
import { findModel, listModels, type ModelObject } from './models.ts';

const ONE_MODEL = '/v1/models/';

/** GET /v1/models. */
export function modelList(context: EndpointContext): Endpoint {
  return async (request, _id, _setIdleTimeout, from) => {
    const caller = authorize(context, request.headers, from);
    return Response.json({ object: 'list', data: await modelsOf(context, caller) });
  };
}

/** GET /v1/models/{id}; an id may hold slashes. */
export function oneModel(context: EndpointContext): Endpoint {
  return async (request, _id, _setIdleTimeout, from) => {
    const caller = authorize(context, request.headers, from);
    const id = new URL(request.url).pathname.slice(ONE_MODEL.length);
    return Response.json(findModel(await modelsOf(context, caller), decoded(id)));
  };
}

/** Those that the caller may use. */
async function modelsOf({ parts, startedAtMs }: EndpointContext, caller: Caller): Promise<ModelObject[]> {
  await parts.firstRound();
  const upForMs = parts.clock.nowMs() - startedAtMs;
  // No server tells when its models were made: the gateway's own start is what is known.
  const createdAtSeconds = Math.floor((parts.clock.wallMs() - upForMs) / 1000);
  const { places } = caller.policies;
  const targets = parts.targets().filter(({ target }) => places === null || places.includes(target.place));
  const models = listModels(targets, parts.modelAliases(), createdAtSeconds);
  return caller.policies.models === null ? models : models.filter(({ id }) => parts.shows(caller, id));
}

function decoded(pathPart: string): string {
  try {
    return decodeURIComponent(pathPart);
  } catch {
    // A stray percent sign: take it as it is, it will not be found.
    return pathPart;
  }
}
