import { describe, expect, test } from 'bun:test';
import { parse } from 'yaml';
import { addTargets } from './add-targets.ts';

const FRAGMENT = 'targets:\n  - name: new-one\n    kind: ollama\n    url: http://10.0.0.7:11434\n    # a hint\n';
const ENTRY = { name: 'new-one', kind: 'ollama', url: 'http://10.0.0.7:11434' };

describe('a target added to swarmrouter.yaml', () => {
  test('makes the file when there is none', () => {
    expect(addTargets('', FRAGMENT)).toBe(FRAGMENT);
  });

  test('stands behind the settings of a file without targets', () => {
    expect(addTargets('# mine\nport: 9000', FRAGMENT)).toBe(`# mine\nport: 9000\n\n${FRAGMENT}`);
    expect(addTargets('# only words\n', FRAGMENT)).toBe(`# only words\n\n${FRAGMENT}`);
  });

  test('comes last of the targets, and not a letter of the rest changes', () => {
    const before = [
      '# the house',
      'port:   9000   # odd spacing stays',
      'targets:   # ours',
      '- name: studio   # the big one',
      '  kind: lm-studio',
      "  url: 'http://192.168.1.20:1234'   # upstairs",
      '',
      '# what others ask for',
      'aliases: {gpt-4o: qwen}',
      '',
    ];
    const added = ['- name: new-one', '  kind: ollama', '  url: http://10.0.0.7:11434', '  # a hint'];
    const after = [...before.slice(0, 6), ...added, ...before.slice(6)];
    expect(addTargets(before.join('\n'), FRAGMENT)).toBe(after.join('\n'));
  });

  test('takes the indentation and the line ends of the file', () => {
    const before = 'targets:\r\n    - name: a\r\n      kind: vllm\r\n      url: http://a:1';
    expect(addTargets(before, FRAGMENT)).toBe(
      `${before}\r\n    - name: new-one\r\n      kind: ollama\r\n      url: http://10.0.0.7:11434\r\n      # a hint\r\n`,
    );
  });

  for (const [form, text] of [
    ['in brackets', '# mine\ntargets: [{name: a, kind: vllm, url: "http://a:1"}]  # short\nport: 1\n'],
    ['in brackets over lines', '# mine\ntargets: [\n  {name: a, kind: vllm, url: "http://a:1"},\n]\nport: 1\n'],
    ['an entry in braces', '# mine\ntargets:\n  - {name: a, kind: vllm, url: "http://a:1"}\nport: 1\n'],
    ['as nothing', '# mine\ntargets:\nport: 1\n'],
    ['as an empty list', '# mine\ntargets: []\nport: 1\n'],
    ['all in braces', '# mine\n{port: 1, targets: [{name: a, kind: vllm, url: "http://a:1"}]}\n'],
    ['an entry that ends in a text of lines', '# mine\ntargets:\n  - name: a\n    url: |\n      http://a:1\nport: 1\n'],
    ['with an anchor', '# mine\nbase: &b {kind: vllm}\ntargets:\n  - *b\nport: 1\n'],
  ] as const) {
    test(`is added to targets that are written ${form}; settings and comments stay`, () => {
      const result = addTargets(text, FRAGMENT);
      const before = parse(text);
      expect(parse(result)).toEqual({ ...before, targets: [...(before.targets ?? []), ENTRY] });
      expect(result).toContain('# mine');
    });
  }

  test('is refused by a file that it cannot be added to', () => {
    expect(() => addTargets('base: &b [{name: a}]\ntargets: *b\n', FRAGMENT)).toThrow('nothing can be added to');
  });
});
