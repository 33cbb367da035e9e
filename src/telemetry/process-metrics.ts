import { Counter, Gauge, type Registry } from 'prom-client';
import type { MetricDescription, MetricName } from './metric-list.ts';

/**
 * The few process figures that dashboards ask for. prom-client's own set keeps an event-loop histogram with a
 * 10 ms timer running, which an idle gateway on a laptop should not.
 */
export function registerProcessMetrics(registry: Registry, describe: (name: MetricName) => MetricDescription): void {
  const named = (name: MetricName) => ({ name, help: describe(name).help, registers: [registry] });
  new Counter({
    ...named('process_cpu_seconds_total'),
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    ...named('process_resident_memory_bytes'),
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    ...named('process_heap_bytes'),
    collect() {
      this.set(process.memoryUsage().heapUsed);
    },
  });
  new Gauge(named('process_start_time_seconds')).set(Math.round(Date.now() / 1000 - process.uptime()));
}
