import type { StrategyName } from '../../core/strategy-names.ts';
import { fastest } from './fastest.ts';
import { localFirst } from './local-first.ts';
import type { Strategy } from './strategy.ts';

/** A name without a strategy does not compile. */
const BY_NAME: Readonly<Record<StrategyName, Strategy>> = { 'local-first': localFirst, fastest };

export const STRATEGIES: ReadonlyMap<string, Strategy> = new Map(Object.entries(BY_NAME));
