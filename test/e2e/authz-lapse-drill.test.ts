import { expect, it } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import { canBeAnother, launchAuthzUser } from '../programs/launch-authz-user.ts';

it.runIf(await canBeAnother())(
  'nobody is trusted by facts that are older than they may be, until the agent tells them again',
  async () => {
    const { ask, agent, restartAgent } = await launchAuthzUser({ facts: { maxAge: '30s' } });
    expect(await ask('/a')).toBe(200);
    agent.kill('SIGKILL');
    await agent.ended;
    expect(await ask('/a')).toBe(200);
    const lapsed = async () => (await ask('/a')) === 403;
    await eventually('the lapse', lapsed, { timeoutMs: 60_000, everyMs: 200 });
    await restartAgent();
    await eventually('the agent', async () => (await ask('/a')) === 200);
  },
);
