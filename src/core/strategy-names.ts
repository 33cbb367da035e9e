/** Every routing strategy there is: the settings allow these names, router/strategies must have one file for each. */
export const STRATEGY_NAMES = ['local-first', 'fastest'] as const;
export type StrategyName = (typeof STRATEGY_NAMES)[number];
