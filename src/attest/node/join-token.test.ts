import { describe, expect, it } from 'vitest';
import { openTokens } from '../../../test/fakes/open-agents.ts';
import { SpiffeId } from '../../spiffe/index.ts';
import { createJoinTokenAttestation, createJoinTokenAttestor } from '../index.ts';

const refuse = async () => {
  throw new Error('nobody is asked');
};

describe('a join token', () => {
  it('attests once, under the ID that SPIRE gives', async () => {
    const { tokens } = openTokens();
    const agentId = SpiffeId.parse('spiffe://a.test/node/one');
    const { token } = await tokens.create({ ttlSeconds: 60, agentId });
    const attestor = createJoinTokenAttestor(tokens);
    const { payload } = await createJoinTokenAttestation(token).begin();
    expect(Buffer.from(payload).toString()).toBe(token);
    expect(await attestor.attest(payload, refuse)).toEqual({
      agentPath: `/spire/agent/join_token/${token}`,
      selectors: [],
      canReattest: false,
      alias: agentId,
    });
    const again = expect.objectContaining({ code: 'ERR_JOIN_TOKEN_UNUSABLE' });
    await expect(attestor.attest(payload, refuse)).rejects.toEqual(again);
  });

  it.each([
    ['nothing', Buffer.of()],
    ['a path', Buffer.from('../../../spire/server')],
    ['other letters', Buffer.from('tökentökentökentöken')],
    ['a megabyte', Buffer.alloc(1 << 20, 'a')],
  ])('is not %s', async (_, payload) => {
    const { tokens } = openTokens();
    const unusable = expect.objectContaining({ code: 'ERR_JOIN_TOKEN_UNUSABLE' });
    await expect(createJoinTokenAttestor(tokens).attest(payload, refuse)).rejects.toEqual(unusable);
  });

  it('has no answer to a challenge', async () => {
    const evidence = await createJoinTokenAttestation('token').begin();
    await expect(evidence.answer(Buffer.of())).rejects.toMatchObject({
      code: 'ERR_NODE_ATTEST_CHALLENGE',
    });
  });
});
