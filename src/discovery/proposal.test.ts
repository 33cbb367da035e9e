import { describe, expect, test } from 'bun:test';
import { isName } from '../config/names.ts';
import { readYamlFile } from '../config/yaml-file.ts';
import { TARGET_FIELD_NAMES } from '../config/yaml-targets.ts';
import type { AdapterKind } from '../core/target.ts';
import { proposalsFor, yamlOf } from './proposal.ts';
import type { FoundServer } from './scan.ts';

const found = (kind: AdapterKind, host: string, port: number, wantsKey = false): FoundServer => ({
  ...{ kind, host, port, wantsKey, version: null, snapshot: null, fault: null },
  url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
});
const namesFor = (servers: readonly FoundServer[], taken: readonly string[] = []): string[] =>
  proposalsFor(servers, taken).map(({ name }) => name);

describe('a found server is called', () => {
  test('by its kind and where it is', () => {
    const servers = [found('lm-studio', '192.168.1.20', 1234), found('openai-compatible', 'gpu_box.lan', 80)];
    expect(namesFor(servers)).toEqual(['lmstudio-192-168-1-20', 'openai-gpu-box-lan']);
  });

  test('by its port too where that name is taken', () => {
    const two = [found('llama-cpp', '::1', 8080), found('llama-cpp', '::1', 9931)];
    expect(namesFor(two)).toEqual(['llamacpp-1', 'llamacpp-1-9931']);
    expect(namesFor([found('ollama', 'a', 1)], ['ollama-a', 'ollama-a-1'])).toEqual(['ollama-a-1-2']);
  });

  test('by something that is allowed as a name, however long the host', () => {
    const host = `${'long-'.repeat(40)}name.lan`;
    const names = namesFor([found('vllm', host, 8000), found('vllm', host, 8001), found('vllm', host, 8001)]);
    expect(new Set(names).size).toBe(3);
    expect(names.filter((name) => !isName(name))).toEqual([]);
  });
});

test('the YAML has the fields that a target needs, and as comments what only a person can say', () => {
  const text = yamlOf(
    proposalsFor([found('vllm', '10.0.0.7', 8000, true), found('openai-compatible', '10.0.0.8', 80)], []),
  );
  expect(text).toContain('    # api_key: env:');
  expect(text).toContain('    # place: local');
  const names = { settings: new Set<string>(), target: TARGET_FIELD_NAMES, route: new Set<string>() };
  const file = readYamlFile(text, 'x', names);
  expect(file.problems).toEqual([]);
  expect(file.targets.map(({ entries }) => entries.map(({ key, value }) => `${key}=${value}`))).toEqual([
    ['name=vllm-10-0-0-7', 'kind=vllm', 'url=http://10.0.0.7:8000'],
    ['name=openai-10-0-0-8', 'kind=openai-compatible', 'url=http://10.0.0.8:80'],
  ]);
});
