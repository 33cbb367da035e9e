import { UpstreamError } from '../../core/failure.ts';
import type { Target } from '../../core/target.ts';

/** The resource's own address: people paste the endpoint with or without the API's path. */
function resourceOf(target: Target): string {
  return target.baseUrl.replace(/\/+$/, '').replace(/\/openai(\/v1)?$/, '');
}

export function chatUrl(target: Target, deployment: string): string {
  const resource = resourceOf(target);
  if (target.apiVersion === null) return `${resource}/openai/v1/chat/completions`;
  const path = `/openai/deployments/${segmentOf(deployment, target.id)}/chat/completions`;
  return `${resource}${path}?api-version=${encodeURIComponent(target.apiVersion)}`;
}

/** Clients choose the name. Dots alone would lead to another path, in whatever way they are encoded. */
function segmentOf(deployment: string, where: string): string {
  if (/^\.{1,2}$/.test(deployment)) {
    throw new UpstreamError('modelMissing', `${where} can have no deployment called "${deployment}"`);
  }
  return encodeURIComponent(deployment);
}

/** Lists the models that the resource could deploy: free, and refused with a bad key. */
export function modelsUrl(target: Target): string {
  const resource = resourceOf(target);
  if (target.apiVersion === null) return `${resource}/openai/v1/models`;
  return `${resource}/openai/models?api-version=${encodeURIComponent(target.apiVersion)}`;
}
