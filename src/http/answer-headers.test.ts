import { describe, expect, test } from 'bun:test';
import type { AttemptRecord } from '../core/outcome.ts';
import type { AnsweredBy } from '../router/serve.ts';
import { type AnswerForm, answerHeaders } from './answer-headers.ts';

const ATTEMPT: AttemptRecord = {
  targetId: 'lmstudio',
  adapterKind: 'lm-studio',
  place: 'local',
  model: 'asked',
  reason: 'local, 0 of 4 slots busy',
  failure: null,
  failureMessage: null,
  status: null,
  queuedMs: 0,
  durationMs: 10,
  firstContentMs: 10,
};

/** As the client gets them. */
function sent(by: Partial<AnsweredBy>, requestId = 'r1', form: AnswerForm = 'json'): Record<string, string> {
  const headers = answerHeaders({ attempt: ATTEMPT, model: 'answered', attempts: 1, ...by }, requestId, form);
  return new Response('', { headers }).headers.toJSON() as unknown as Record<string, string>;
}

describe('the headers of an answer', () => {
  test('tell who answered and why', () => {
    expect(sent({})).toEqual({
      'content-type': 'application/json',
      'x-request-id': 'r1',
      'x-swarmrouter-target': 'lmstudio',
      'x-swarmrouter-provider': 'lm-studio',
      'x-swarmrouter-place': 'local',
      'x-swarmrouter-model': 'answered',
      'x-swarmrouter-attempts': '1',
      'x-swarmrouter-reason': 'local, 0 of 4 slots busy',
    });
    expect(sent({ model: '' })['x-swarmrouter-model']).toBe('asked');
    expect(sent({}, 'r1', 'events')).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
    });
  });

  test('are each answer’s own: nothing of another stays in them', () => {
    const cut = sent({ attempt: { ...ATTEMPT, promptCut: true, reason: 'first' }, attempts: 2 }, 'r1');
    expect(cut).toMatchObject({
      'x-swarmrouter-prompt-cut': 'true',
      'x-swarmrouter-attempts': '2',
      'x-swarmrouter-reason': 'first',
    });
    const next = sent({ attempts: 2 }, 'r2');
    expect(next).toMatchObject({ 'x-request-id': 'r2', 'x-swarmrouter-reason': ATTEMPT.reason });
    expect(next).not.toHaveProperty('x-swarmrouter-prompt-cut');
    expect(sent({}, 'r3', 'events')['content-type']).toContain('event-stream');
    expect(sent({}, 'r4')['content-type']).toBe('application/json');
    const others = sent({ attempt: { ...ATTEMPT, targetId: 'ollama', adapterKind: 'ollama' } }, 'r5');
    expect([others['x-swarmrouter-target'], others['x-swarmrouter-provider']]).toEqual(['ollama', 'ollama']);
  });

  test('a response that was made keeps its headers when the next answer gets its own', () => {
    const by: AnsweredBy = { attempt: ATTEMPT, model: 'm', attempts: 1 };
    const first = new Response('', { headers: answerHeaders(by, 'r1', 'json') });
    const second = new Response('', { headers: answerHeaders(by, 'r2', 'json') });
    expect([first.headers.get('x-request-id'), second.headers.get('x-request-id')]).toEqual(['r1', 'r2']);
  });

  test('hold printable ASCII of bounded length, whatever a model is called', () => {
    expect(sent({ model: 'modèle\n2' })['x-swarmrouter-model']).toBe('mod?le?2');
    for (let number = 0; number < 2_000; number++) sent({ model: `m${number}` });
    expect(sent({ model: 'x'.repeat(10_000) })['x-swarmrouter-model']?.length).toBeLessThan(300);
  });
});
