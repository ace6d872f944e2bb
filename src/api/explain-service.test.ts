import { describe, expect, it } from 'vitest';
import { parseEntryQuestion, parseExplainRequest } from './explain-messages.ts';
import { createAgentExplainService } from './explain-service.ts';
import { requireAdmin } from './require-admin.ts';

describe('AgentExplain', () => {
  it('answers the own user and root alone', async () => {
    let uid = 1_000;
    const service = requireAdmin(
      createAgentExplainService({ explain: () => Promise.resolve([]) }),
      1_000,
      () => uid,
    );
    const ask = async (): Promise<unknown> => {
      const answer = Promise.withResolvers<unknown>();
      const respond = (_error: unknown, message: unknown): void => answer.resolve(message);
      const call = { getPeer: () => '', request: { pids: [1] } };
      await Reflect.apply(service.implementation['Explain'] ?? (() => {}), undefined, [
        call,
        respond,
      ]);
      return await answer.promise;
    };
    expect(await ask()).toEqual({ explanations: [] });
    uid = 0;
    expect(await ask()).toEqual({ explanations: [] });
    uid = 1_001;
    await expect(ask()).rejects.toMatchObject({
      code: 'ERR_API_ADMIN',
      message: 'only user 1000 and root are admitted; the caller is user 1001',
    });
  });

  it.each([
    ['nothing', {}],
    ['two subjects', { pids: [1], envoy_node_id: 'a' }],
    ['no process', { pids: [0] }],
    ['33 processes', { pids: Array.from({ length: 33 }, (_, index) => index + 1) }],
    ['part of a container ID', { container_id: '3f4e' }],
    ['a long name', { envoy_node_id: 'a', resource_name: 'x'.repeat(2_049) }],
  ])('refuses a question about %s', (_what, request) => {
    expect(() => parseExplainRequest(request)).toThrow(
      expect.objectContaining({ code: 'ERR_API_REQUEST' }),
    );
  });

  it('refuses an ID that is none', () => {
    expect(() => parseExplainRequest({ spiffe_id: 'spiffe://a.test/a/' })).toThrow(
      expect.objectContaining({ code: 'ERR_SPIFFE_ID_PATH' }),
    );
  });
});

describe('Explain', () => {
  it.each([
    ['nothing', {}, 'ERR_API_REQUEST'],
    [
      '1,001 selectors',
      { selectors: Array.from({ length: 1_001 }, () => 'a:b') },
      'ERR_API_REQUEST',
    ],
    ['a malformed selector', { selectors: ['unix'] }, 'ERR_SELECTOR'],
  ])('refuses a question with %s', (_what, request, code) => {
    expect(() => parseEntryQuestion(request)).toThrow(expect.objectContaining({ code }));
  });
});
