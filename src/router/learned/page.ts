import type { Target } from '../../core/target.ts';
import type { ModelMeter } from './model-meter.ts';

/** What was learned of one model on one target. */
export interface Page {
  readonly place: Target['place'];
  readonly model: string;
  readonly meter: ModelMeter;
}
