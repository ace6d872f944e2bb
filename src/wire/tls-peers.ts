import type { X509Svid } from '../spiffe/index.ts';
import type { CheckedSvid } from './checked-svid.ts';

/** Somebody who called over TCP and proved an identity. */
export interface SvidCaller {
  readonly kind: 'svid';
  readonly svid: X509Svid;
  /** Of the leaf, lower-case hex. */
  readonly serialNumber: string;
  /** IP address the connection came from; says nothing about who it is. */
  readonly address: string;
}

/** Somebody who called over TCP and presented no certificate. */
export interface AnonymousCaller {
  readonly kind: 'anonymous';
  readonly address: string;
}

export type RemoteCaller = SvidCaller | AnonymousCaller;

/** The other end of one TLS connection. */
export class TlsPeer {
  readonly caller: RemoteCaller;
  readonly #checked: CheckedSvid | undefined;

  constructor(address: string, checked: CheckedSvid | undefined) {
    this.#checked = checked;
    this.caller =
      checked === undefined
        ? { kind: 'anonymous', address }
        : {
            kind: 'svid',
            svid: checked.svid,
            serialNumber: checked.svid.leaf.serialNumber,
            address,
          };
  }

  /** @throws TrustplaneError ERR_X509_* when its SVID is no longer good */
  verify(): RemoteCaller {
    this.#checked?.verify();
    return this.caller;
  }
}

/** The peers of all open TLS connections, by the name that stands in for their address in `getPeer()`. */
class TlsPeers {
  readonly #byKey = new Map<string, TlsPeer>();
  #serial = 0;

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): TlsPeer | undefined {
    return this.#byKey.get(key);
  }

  /** @returns the key for `get` and `remove` */
  add(peer: TlsPeer): string {
    const key = `tls-${++this.#serial}`;
    this.#byKey.set(key, peer);
    return key;
  }

  remove(key: string): void {
    this.#byKey.delete(key);
  }
}

export const tlsPeers: TlsPeers = new TlsPeers();
