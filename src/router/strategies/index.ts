import { localFirst } from './local-first.ts';
import type { Strategy } from './strategy.ts';

export const STRATEGIES: ReadonlyMap<string, Strategy> = new Map(
  [localFirst].map((strategy) => [strategy.name, strategy]),
);
