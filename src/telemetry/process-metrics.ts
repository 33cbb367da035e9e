import type { Sample } from './exposition.ts';

/** The few process figures that dashboards ask for, read now. */
export function processSamples() {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  return {
    process_cpu_seconds_total: single((user + system) / 1e6),
    process_resident_memory_bytes: single(rss),
    process_heap_bytes: single(heapUsed),
    process_start_time_seconds: single(STARTED_AT_SECONDS),
  };
}

/** Fixed once: derived anew at each scrape it would waver, and look like a restart. */
const STARTED_AT_SECONDS = Math.round(Date.now() / 1000 - process.uptime());

function single(value: number): readonly Sample[] {
  return [{ labels: [], value }];
}
