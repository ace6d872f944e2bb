import { X509Certificate } from 'node:crypto';
import {
  type AuthorityClient,
  createAuthorityClient,
  createBundleClient,
} from '../../src/client/index.ts';
import * as oracle from '../oracles/x509.ts';
import { eventually } from './eventually.ts';
import type { ServerMember } from './launch-control-plane.ts';
import type { RotationWatch } from './rotation-watch.ts';

const LONG = { timeoutMs: 120_000, everyMs: 200 };

/** Replacements of the authorities that servers sign with, one at a time, whatever happens meanwhile. */
export class PlaneRotations {
  readonly #watches: readonly RotationWatch[];
  readonly #revoked: string[] = [];
  #current: Promise<void> | undefined;

  /** @param watches of the Envoys that are to have other certificates before an authority is revoked */
  constructor(watches: readonly RotationWatch[]) {
    this.#watches = watches;
  }

  /** IDs of authorities that nobody may believe any more. */
  get revoked(): readonly string[] {
    return this.#revoked;
  }

  /** Begins one, unless one is under way. */
  begin(server: ServerMember): void {
    if (this.#current !== undefined) return;
    this.#current = this.#rotate(server).finally(() => {
      this.#current = undefined;
    });
    this.#current.catch(() => {});
  }

  /** Resolves when none is under way. */
  async done(): Promise<void> {
    await this.#current;
  }

  async #rotate(server: ServerMember): Promise<void> {
    const { name, adminSocket } = server;
    const client = createAuthorityClient(adminSocket);
    const step = async (what: string, isDone: () => Promise<boolean>): Promise<void> =>
      void (await eventually(`${name}: ${what}`, isDone, LONG));
    try {
      const old = await eventually(`${name} signs`, () => inSlot(client, 'active'), LONG);
      await step('an authority is prepared', async () => {
        if ((await inSlot(client, 'prepared')) !== undefined) return true;
        await client.prepare('x509');
        return false;
      });
      const next = await eventually('it is shown', () => inSlot(client, 'prepared'), LONG);
      await step('it is active', async () => {
        if ((await inSlot(client, 'active')) === next) return true;
        await client.activate('x509', next, false);
        return false;
      });
      await step('the one before it is tainted', async () => {
        if ((await find(client, old))?.tainted !== false) return true;
        await client.taint('x509', old);
        return false;
      });
      await step('nobody presents what it signed', async () => {
        const fingerprint = await fingerprintOf(server, old);
        return this.#watches.every((watch) => {
          const authority = watch.seen()?.authority;
          return authority !== undefined && authority !== fingerprint;
        });
      });
      await step('it is revoked', async () => {
        if ((await find(client, old)) === undefined) return true;
        await client.revoke('x509', old);
        return false;
      });
      this.#revoked.push(old);
    } finally {
      client.close();
    }
  }
}

/** IDs of the authorities in the bundle as a server has it, with `!` after tainted ones. */
export async function authoritiesAt(server: ServerMember): Promise<readonly string[]> {
  return (await bundleAt(server)).map(({ id, tainted }) => (tainted ? `${id}!` : id));
}

/** As Node names certificates; undefined: it is not in the bundle. */
async function fingerprintOf(server: ServerMember, id: string): Promise<string | undefined> {
  const found = (await bundleAt(server)).find((authority) => authority.id === id);
  return found && new X509Certificate(found.certificate).fingerprint256;
}

async function bundleAt({ adminSocket }: ServerMember) {
  const client = createBundleClient(adminSocket);
  try {
    const { x509Authorities } = await client.own();
    return x509Authorities.map((authority) => ({ ...authority, id: idOf(authority.certificate) }));
  } finally {
    client.close();
  }
}

function idOf(certificate: Uint8Array): string {
  const parsed = new oracle.X509Certificate(new Uint8Array(certificate));
  return parsed.getExtension(oracle.SubjectKeyIdentifierExtension)?.keyId ?? '';
}

async function inSlot(client: AuthorityClient, slot: string): Promise<string | undefined> {
  const found = (await authorities(client)).find((each) => each.slot === slot);
  return found?.authorityId;
}

async function find(client: AuthorityClient, id: string) {
  return (await authorities(client)).find(({ authorityId }) => authorityId === id);
}

async function authorities(client: AuthorityClient) {
  const [x509] = await client.rotations();
  return x509?.authorities ?? [];
}
