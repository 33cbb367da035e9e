import type { TargetView } from '../../core/target-view.ts';
import { HttpError } from '../http-error.ts';

export interface ModelObject {
  readonly id: string;
  readonly object: 'model';
  readonly created: number;
  readonly owned_by: string;
}

/** Every model of every target that is up, each id once; a target that is down only leaves its own models out. Pure. */
export function listModels(
  targets: readonly TargetView[],
  aliases: ReadonlyMap<string, string>,
  createdAtSeconds: number,
): ModelObject[] {
  const models = new Map<string, ModelObject>();
  const add = (id: string, ownedBy: string): void => {
    if (!models.has(id)) models.set(id, { id, object: 'model', created: createdAtSeconds, owned_by: ownedBy });
  };
  for (const alias of aliases.keys()) add(alias, 'swarmrouter');
  for (const { target, health, snapshot } of targets) {
    if (health === 'down' || health === 'absent') continue;
    for (const name of target.deployments.keys()) add(name, target.provider);
    for (const model of snapshot?.models ?? []) add(model.id, target.provider);
  }
  return [...models.values()];
}

export function findModel(models: readonly ModelObject[], id: string): ModelObject {
  const found = models.find((model) => model.id === id);
  if (found === undefined) {
    throw new HttpError(
      404,
      'model_not_found',
      `The model "${id.slice(0, 200)}" does not exist here. GET /v1/models lists those that do.`,
      {
        param: 'model',
      },
    );
  }
  return found;
}
