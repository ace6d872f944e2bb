import { expect, it } from 'vitest';
import { createAdminClient } from '../../src/client/index.ts';
import { eventually } from '../programs/eventually.ts';
import {
  type ControlPlane,
  type Fault,
  faults,
  launchControlPlane,
  type Member,
  type ServerMember,
} from '../programs/launch-control-plane.ts';
import { canLayNetworks } from '../programs/network-hosts.ts';
import { PlaneEntries, type WriteTimes } from '../programs/plane-entries.ts';
import { PlaneJoins } from '../programs/plane-joins.ts';
import { LiveServers } from '../programs/plane-members.ts';
import { authoritiesAt, PlaneRotations } from '../programs/plane-rotation.ts';
import { watchRotations } from '../programs/rotation-watch.ts';
import { createSeededRandom } from '../programs/seeded-random.ts';
import { startTraffic } from '../programs/traffic.ts';

/** `ROUNDS=18 npm run drill:ha`: every fault of every one of the six; more begins again. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 4);
const SEED = Number(process.env['SEED']);
const IN_SHORT = 4;
/** Writes that are acknowledged while something is broken. */
const MORE = 60;
const LONG = { timeoutMs: 60_000, everyMs: 200 };

interface Round {
  readonly fault: Fault;
  readonly member: Member;
}

it.skipIf(!(await canLayNetworks()))(
  `${ROUNDS} times one of 3 servers and 3 nats-servers dies, stands still or is cut off; nothing acknowledged is lost (SEED=${SEED})`,
  async () => {
    await using plane = await launchControlPlane('40s');
    await using stack = new AsyncDisposableStack();
    const { servers } = plane;
    const random = createSeededRandom(SEED);
    const live = new LiveServers(servers, random);
    const entries = new PlaneEntries(live, random);
    const joins = new PlaneJoins(servers, live, plane.spender);
    const watches = [plane.pair.client, plane.pair.server].map((envoy) =>
      watchRotations(envoy, () => {}),
    );
    stack.defer(() => watches.forEach((watch) => watch.stop()));
    const rotations = new PlaneRotations(watches);
    const traffic = startTraffic(plane.pair);
    stack.defer(async () => await traffic.stop());
    const stopped = new AbortController();
    const load = entries.run(stopped.signal);
    load.catch(() => {});
    stack.defer(() => stopped.abort());
    const times: WriteTimes[] = [];

    for (let n = 0; n < ROUNDS; n++) {
      const { member, fault } = roundOf(plane, n);
      await Promise.race([entries.acknowledgedMore(MORE), load]);
      entries.times();
      // In the long form every other time that of a server that is broken, whose agents are then waited for.
      const own = servers.find(({ name }) => name === member.name);
      const isOwn = ROUNDS > IN_SHORT && n % 2 === 0 && own !== undefined;
      rotations.begin(isOwn ? own : otherThan(servers, member, random));
      const begin = performance.now();
      await member.break(fault);
      live.avoid(member.name);
      const joined = joinAll(joins);
      joined.catch(() => {});
      if (n % 3 === 0) await restartAgent(plane, n);
      await Promise.race([entries.acknowledgedMore(MORE), load]);
      await joined;
      await member.mend(fault);
      const time = entries.times();
      times.push(time);
      if (ROUNDS > IN_SHORT) await rotations.done();
      live.avoid(undefined);
      await eventually(
        `all servers say the same after round ${n}`,
        async () => await isSame(servers, rotations.revoked),
        LONG,
      );
      expect(traffic.counts().failures, `round ${n}`).toEqual([]);
      const took = ((performance.now() - begin) / 1000).toFixed(1);
      console.log(`${n}: ${fault} ${member.name}, ${took} s: ${describe(time)}`);
    }

    await rotations.done();
    stopped.abort();
    await load;
    for (const server of servers) {
      await eventually(
        `${server.name} has what was acknowledged`,
        async () => expect(await entryFaults(server, entries)).toEqual([]),
        LONG,
      );
    }
    expect(await joins.faults()).toEqual([]);
    await traffic.stop();
    const { ok, failures } = traffic.counts();
    expect(failures).toEqual([]);
    expect(ok).toBeGreaterThan(100 * ROUNDS);
    const gaps = times.map(({ gapMs }) => gapMs).toSorted((a, b) => a - b);
    const [p50 = 0, max = 0] = [gaps[Math.ceil(gaps.length / 2) - 1], gaps.at(-1)];
    console.log(
      `${ROUNDS} faults: ${ok} requests, 0 failed; ${entries.count} changes of entries, ${JSON.stringify(joins.count)}, ` +
        `${rotations.revoked.length} authorities replaced; no writes for ${p50.toFixed(0)} ms (p50), ${max.toFixed(0)} ms (max)`,
    );
  },
  120_000 + ROUNDS * 120_000,
);

/** The short form has four of the 18 faults that the long one has all of. */
function roundOf({ servers, natsServers }: ControlPlane, n: number): Round {
  const all = [...servers, ...natsServers];
  if (ROUNDS > IN_SHORT) {
    const fault = faults[(n + Math.floor(n / all.length)) % faults.length];
    const member = all[n % all.length];
    if (fault === undefined || member === undefined) throw new Error(`there is no round ${n}`);
    return { fault, member };
  }
  const some: readonly [Fault, Member | undefined][] = [
    ['kill', servers[0]],
    ['partition', servers[1]],
    ['kill', leaderOf(natsServers)],
    ['pause', natsServers[2]],
  ];
  const [fault, member] = some[n] ?? [];
  if (fault === undefined || member === undefined) throw new Error(`there is no round ${n}`);
  return { fault, member };
}

/** The nats-server that said last that it leads the stream of entries. */
function leaderOf(natsServers: readonly Member[]): Member | undefined {
  const said = natsServers.flatMap((member) =>
    member.lines
      .filter((line) => /new stream leader for .*_entries'/.test(line))
      .map((line) => ({ member, at: line.replace(/^\[\d+\] /, '') })),
  );
  return said.toSorted((a, b) => (a.at < b.at ? -1 : 1)).at(-1)?.member;
}

function otherThan(
  servers: readonly ServerMember[],
  { name }: Member,
  random: (limit: number) => number,
): ServerMember {
  const others = servers.filter((server) => server.name !== name);
  const picked = others[random(others.length)];
  if (picked === undefined) throw new Error('there is no other server');
  return picked;
}

/** Two hosts join; then one of them is banned, and the other one evicted. */
async function joinAll(joins: PlaneJoins): Promise<void> {
  const [banned, evicted] = await Promise.all([joins.join(), joins.join()]);
  if (banned !== undefined) await joins.ban(banned);
  if (evicted !== undefined) await joins.evict(evicted);
}

async function restartAgent({ agents }: ControlPlane, n: number): Promise<void> {
  const agent = agents[n % agents.length];
  await agent?.kill();
  await agent?.start();
}

async function isSame(
  servers: readonly ServerMember[],
  revoked: readonly string[],
): Promise<boolean> {
  const [first = [], ...others] = await Promise.all(servers.map(authoritiesAt));
  expect(first.filter((id) => revoked.includes(id.replace('!', '')))).toEqual([]);
  for (const other of others) expect(other.toSorted()).toEqual(first.toSorted());
  return true;
}

async function entryFaults(
  { adminSocket }: ServerMember,
  entries: PlaneEntries,
): Promise<readonly string[]> {
  const client = createAdminClient(adminSocket);
  try {
    return entries.compare(await client.listEntries({}));
  } finally {
    client.close();
  }
}

function describe({ gapMs, slowestMs, acknowledged, doubtful }: WriteTimes): string {
  return `${acknowledged} changes, ${doubtful} in doubt; none for ${gapMs.toFixed(0)} ms, the slowest ${slowestMs.toFixed(0)} ms`;
}
