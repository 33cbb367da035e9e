import type { Target } from '../../core/target.ts';

/** The resource's own address: people paste the endpoint with or without the API's path. */
function resourceOf(target: Target): string {
  return target.baseUrl.replace(/\/+$/, '').replace(/\/openai(\/v1)?$/, '');
}

export function chatUrl(target: Target, deployment: string): string {
  const resource = resourceOf(target);
  if (target.apiVersion === null) return `${resource}/openai/v1/chat/completions`;
  const path = `/openai/deployments/${encodeURIComponent(deployment)}/chat/completions`;
  return `${resource}${path}?api-version=${encodeURIComponent(target.apiVersion)}`;
}

/** Lists the models that the resource could deploy: free, and refused with a bad key. */
export function modelsUrl(target: Target): string {
  const resource = resourceOf(target);
  if (target.apiVersion === null) return `${resource}/openai/v1/models`;
  return `${resource}/openai/models?api-version=${encodeURIComponent(target.apiVersion)}`;
}
