import { describe, expect, test } from 'bun:test';
import { gaugeOf, requestsOf, shareOf } from './prometheus-gauge.ts';

const PAGE = `# HELP vllm:num_requests_running Number of requests.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a b"} 3.0
vllm:num_requests_running{engine="1",model_name="a b"} 2.0
vllm:num_requests_running_max 90
vllm:num_requests_waiting 1 1395066363000
vllm:gpu_cache_usage_perc{engine="0"} 0.25
vllm:gpu_cache_usage_perc{engine="1"} 0.75`;

describe('a gauge of a metrics page', () => {
  test('is summed over its labels, and not mistaken for one whose name is longer', () => {
    expect(requestsOf(PAGE, ['vllm:num_requests_running'])).toBe(5);
    expect(gaugeOf(PAGE, ['vllm:num_requests_waiting'])).toBe(1);
  });

  test('has a newer and an older name; a share is the mean of all engines', () => {
    expect(shareOf(PAGE, ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc'])).toBe(0.5);
    expect(gaugeOf(PAGE, ['no_such_gauge'])).toBeNull();
  });

  test.each(['NaN', '-3', '+Inf', '1e300', 'many', ''])('that says %s is not believed', (value) => {
    expect(requestsOf(`a ${value}\n`, ['a'])).toBeNull();
    expect(shareOf(`a ${value}\n`, ['a'])).toBeNull();
  });
});
