import { nearestName } from '../../core/nearest-name.ts';
import type { TargetView } from '../../core/target-view.ts';
import { questionsFor } from './price-question.ts';

/** What is known of models now. */
export interface KnownModels {
  targets(): readonly TargetView[];
  /** ms since the Unix epoch. */
  readonly wallMs: () => number;
  /** What a client's name stands for: aliases, `auto` and pinned providers resolved; an empty name: any model. */
  readonly meaningOf: (name: string) => { readonly name: string; readonly pin: string | null };
}

type Offers = Pick<KnownModels, 'targets' | 'wallMs'>;

/** As its servers call a model of this name; empty: no target has one. A target that may have it is taken to call it so. */
export function serverNamesOf(model: string, { targets, wallMs }: Offers): readonly string[] {
  const offered = questionsFor(model, targets(), wallMs()).filter((one) => one.offered !== false);
  return [...new Set(offered.map(({ question }) => question.model))];
}

/** The names among these that no client could ask for now: no target has them, and no alias. */
export function unknownNames(names: readonly string[], known: KnownModels): readonly string[] {
  return names.filter((name) => {
    const meant = known.meaningOf(name);
    const model = meant.pin === null ? meant.name : `${meant.pin}/${meant.name}`;
    return meant.name !== '' && serverNamesOf(model, known).length === 0;
  });
}

/** Says that nobody has the model, and which one may have been meant. */
export function noTargetHas(model: string, known: Offers): string {
  const nearest = nearestName(model, someModels(known));
  return `No target has the model "${model}" now.${nearest === null ? '' : ` Did you mean "${nearest}"?`}`;
}

/** A cloud lists thousands: to compare a name with all of them would hold up everybody. */
const MOST_COMPARED = 200;

function someModels({ targets }: Offers): readonly string[] {
  const models = targets().flatMap(({ target, snapshot }) => [
    ...target.deployments.keys(),
    ...(snapshot?.models ?? []).slice(0, MOST_COMPARED).map(({ id }) => id),
  ]);
  return models.slice(0, MOST_COMPARED);
}
