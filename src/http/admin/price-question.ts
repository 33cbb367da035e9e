import type { PriceQuestion } from '../../core/prices.ts';
import type { TargetView } from '../../core/target-view.ts';
import { modelIndex } from '../../router/model-index.ts';

/** What is asked of prices for a model at one target. */
export interface TargetPriceQuestion {
  readonly view: TargetView;
  readonly question: PriceQuestion;
  /** Null: the target does not say which models it has. */
  readonly offered: boolean | null;
}

/**
 * One question for each target, as a request for the model would be priced there. A name that begins with a target or a
 * provider (`openrouter/openai/gpt-4o-mini`) asks of that one alone, as it does in a request.
 */
export function questionsFor(model: string, views: readonly TargetView[], nowMs: number): TargetPriceQuestion[] {
  const slash = model.indexOf('/');
  const pin = model.slice(0, Math.max(0, slash)).toLowerCase();
  const pinned = views.filter(({ target: { id, provider } }) => pin !== '' && (id === pin || provider === pin));
  if (pinned.length > 0) return pinned.map((view) => questionFor(model.slice(slash + 1), view, nowMs));
  return views.map((view) => questionFor(model, view, nowMs));
}

function questionFor(asked: string, view: TargetView, nowMs: number): TargetPriceQuestion {
  const { target, snapshot } = view;
  const deployment = deploymentOf(asked, target.deployments);
  const info = snapshot === null ? null : modelIndex(snapshot).find(deployment ?? asked);
  const model = deployment ?? info?.id ?? asked;
  const isListed = deployment !== null || info !== null;
  // A server that was looked for without being asked for, and is not there, has no model.
  const mayHaveOthers = view.health !== 'absent' && (snapshot === null || !snapshot.listsEverything);
  return {
    view,
    question: { target, model, listed: info?.price ?? null, answeredBy: '', nowMs },
    offered: isListed ? true : mayHaveOthers ? null : false,
  };
}

function deploymentOf(asked: string, deployments: ReadonlyMap<string, string>): string | null {
  const name = asked.toLowerCase();
  for (const [model, deployment] of deployments) if (model.toLowerCase() === name) return deployment;
  return null;
}
