import { statSync } from 'node:fs';
import { expect, it } from 'vitest';
import { unprivilegedUid } from '../fakes/unprivileged.ts';
import { eventually } from '../programs/eventually.ts';
import { canBeAnother, launchAuthzUser } from '../programs/launch-authz-user.ts';

it.runIf(await canBeAnother())(
  'a user that the agent lists decides by what server and agent know, and no other user does',
  async () => {
    const { ask, authz, server, clientEntry, startUnlisted } = await launchAuthzUser();
    expect(statSync(`/proc/${authz.pid}`).uid).toBe(unprivilegedUid);
    expect([await ask('/a'), await ask('/b')]).toEqual([200, 403]);
    const other = startUnlisted();
    const why = await other.line('the agent does not tell what holds');
    expect(why).toContain(`is of user ${unprivilegedUid - 1}`);
    await server.ask('entry', 'delete', clientEntry);
    await eventually('the revocation', async () => (await ask('/a')) === 403 || undefined);
    expect(await authz.stop()).toBe(0);
  },
);
