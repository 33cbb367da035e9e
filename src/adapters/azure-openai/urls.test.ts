import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { targetOf } from '../../../test/contract/adapters-support.ts';
import { chatUrl } from './urls.ts';

const target = targetOf('azure-openai', 'https://my-resource.openai.azure.com', { apiVersion: '2024-10-21' });

describe('the address of a deployment, whose name a client may choose', () => {
  test('is always one segment of the same path, on the same host', () => {
    const hostile = fc.constantFrom(
      '../../evil',
      '%2e%2e',
      '..%2f',
      'a/b',
      'a?x=1',
      'a#b',
      '\\..\\',
      '//evil.example',
      '@evil',
    );
    fc.assert(
      fc.property(fc.oneof(hostile, fc.string({ unit: 'grapheme', minLength: 1 }), fc.webPath()), (name) => {
        if (name === '.' || name === '..' || name === '') return;
        const url = new URL(chatUrl(target, name));
        expect(url.origin).toBe('https://my-resource.openai.azure.com');
        expect(url.pathname.split('/')).toEqual([
          '',
          'openai',
          'deployments',
          encodeURIComponent(name),
          'chat',
          'completions',
        ]);
        expect(url.search).toBe('?api-version=2024-10-21');
      }),
    );
  });

  test('is none where the name is dots alone: such a model is nowhere', () => {
    for (const name of ['.', '..']) expect(() => chatUrl(target, name)).toThrow('can have no deployment called');
  });
});
