import { runProgram, tryProgram } from './run-program.ts';
import type { TiedChild } from './tied-child.ts';
import { spawnTied } from './tied-child.ts';

/** One host of a network: a network namespace with a loopback and one interface. */
export interface NetworkHost {
  readonly name: string;
  /** IPv4 address in the network. */
  readonly address: string;
  /** Starts a program there; file system, users and process IDs are those of this machine. */
  spawn(command: string, args: readonly string[]): TiedChild;
  /** Cuts its cable, or mends it: packets are lost from now on, connections are not told. */
  setLink(state: 'up' | 'down'): Promise<void>;
}

/** Hosts that reach each other through a switch and nothing else. */
export interface HostNetwork<Name extends string> extends AsyncDisposable {
  host(name: Name): NetworkHost;
}

/** Whether this user may lay out networks here, with the programs it takes. */
export async function canLayNetworks(): Promise<boolean> {
  const tries = [tryProgram('ip', ['netns', 'list']), tryProgram('unshare', ['--net', 'true'])];
  const works = await Promise.all(tries);
  return process.getuid?.() === 0 && works.every((finished) => finished !== undefined);
}

const SUBNET = '10.77.0';

/**
 * Lays out network namespaces, joined by a bridge in a namespace of its own, so that nothing of this
 * machine's network is touched. Needs root, `ip` (iproute2) and `nsenter` (util-linux).
 */
export async function layNetwork<Name extends string>(
  names: readonly Name[],
): Promise<HostNetwork<Name>> {
  const prefix = `tp${process.pid}-${Math.trunc(Math.random() * 1e6)}`;
  const hub = `${prefix}-switch`;
  await using laying = new AsyncDisposableStack();
  await addNamespace(laying, hub);
  await ip(hub, 'link add hub type bridge');
  await ip(hub, 'link set hub up');
  const hosts = new Map<Name, NetworkHost>();
  for (const [index, name] of names.entries()) {
    const address = `${SUBNET}.${index + 1}`;
    hosts.set(name, await addHost(laying, { prefix, hub, name, address }));
  }
  const stack = laying.move();
  return {
    host: (name) => {
      const host = hosts.get(name);
      if (host === undefined) throw new Error(`there is no host ${name}`);
      return host;
    },
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

async function addHost(
  stack: AsyncDisposableStack,
  place: { prefix: string; hub: string; name: string; address: string },
): Promise<NetworkHost> {
  const { hub, name, address } = place;
  const namespace = `${place.prefix}-${name}`;
  const port = `to-${name}`.slice(0, 15);
  await addNamespace(stack, namespace);
  await ip(hub, `link add ${port} type veth peer name eth0 netns ${namespace}`);
  await ip(hub, `link set ${port} master hub up`);
  await ip(namespace, `addr add ${address}/24 dev eth0`);
  for (const device of ['lo', 'eth0']) await ip(namespace, `link set ${device} up`);
  return {
    name,
    address,
    spawn: (command, args) =>
      spawnTied('nsenter', [`--net=/run/netns/${namespace}`, command, ...args]),
    setLink: async (state) => await ip(hub, `link set ${port} ${state}`),
  };
}

async function addNamespace(stack: AsyncDisposableStack, namespace: string): Promise<void> {
  await run('netns', 'add', namespace);
  stack.defer(async () => await run('netns', 'delete', namespace));
}

async function ip(namespace: string, command: string): Promise<void> {
  await run('-n', namespace, ...command.split(' '));
}

async function run(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await runProgram('ip', args);
  if (code !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
}
