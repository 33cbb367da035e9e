import type { TargetView } from '../core/target-view.ts';

export type ServiceStatus = 'healthy' | 'degraded' | 'unavailable';

export interface HealthReport {
  readonly status: ServiceStatus;
  readonly version: string;
  readonly uptime_seconds: number;
  readonly providers: Readonly<Record<string, { status: string; place: string; models: number }>>;
}

/** `degraded`: something that was configured or found is not up; `unavailable`: nothing is. Pure. */
export function healthReport(targets: readonly TargetView[], version: string, uptimeMs: number): HealthReport {
  const present = targets.filter((view) => view.health !== 'absent');
  const up = present.filter((view) => view.health === 'up');
  return {
    status: up.length === 0 ? 'unavailable' : up.length < present.length ? 'degraded' : 'healthy',
    version,
    uptime_seconds: Math.floor(uptimeMs / 1000),
    providers: Object.fromEntries(
      present.map((view) => [
        view.target.id,
        { status: view.health, place: view.target.place, models: view.snapshot?.models.length ?? 0 },
      ]),
    ),
  };
}
