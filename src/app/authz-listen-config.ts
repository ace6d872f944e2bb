import { TrustplaneError } from '../spiffe/index.ts';
import type { AuthzListenFile, AuthzTlsFile } from './authz-listen-schema.ts';

/** Where proxies ask over TCP. Plain values: it goes to another thread. */
export interface AuthzListenConfig {
  readonly host: string;
  readonly port: number;
  /** Undefined: clear text. */
  readonly tls: AuthzTlsConfig | undefined;
}

export interface AuthzTlsConfig {
  readonly identity:
    | { readonly kind: 'files'; readonly certificateFile: string; readonly privateKeyFile: string }
    | {
        readonly kind: 'workload-api';
        /** Undefined: the agent's. */
        readonly socket: string | undefined;
        readonly spiffeId: string | undefined;
      };
  /** Patterns; undefined: any of the own trust domain. */
  readonly clients: readonly string[] | undefined;
  readonly admitsAnonymous: boolean;
}

/** @throws TrustplaneError ERR_CONFIG for clear text that others could read, and for what contradicts itself */
export function buildAuthzListen(file: AuthzListenFile | undefined): AuthzListenConfig | undefined {
  if (file === undefined) return undefined;
  const { address, clearText = false, tls } = file;
  if (tls !== undefined) {
    if (clearText) throw contradiction('clearText and tls exclude each other');
    return { ...address, tls: buildTls(tls) };
  }
  if (clearText || isLoopback(address.host)) return { ...address, tls: undefined };
  throw contradiction(
    `${address.host} is reached from elsewhere: expected tls, or clearText: true`,
  );
}

function buildTls(file: AuthzTlsFile): AuthzTlsConfig {
  const { certificateFile, privateKeyFile, workloadApi, spiffeId } = file;
  const common = { clients: file.clients, admitsAnonymous: file.anonymousClients ?? false };
  if (certificateFile === undefined && privateKeyFile === undefined) {
    return { identity: { kind: 'workload-api', socket: workloadApi, spiffeId }, ...common };
  }
  if (certificateFile === undefined || privateKeyFile === undefined) {
    throw contradiction('tls: certificateFile and privateKeyFile go together');
  }
  if (workloadApi !== undefined || spiffeId !== undefined) {
    throw contradiction('tls: files and an SVID of the Workload API exclude each other');
  }
  return { identity: { kind: 'files', certificateFile, privateKeyFile }, ...common };
}

function isLoopback(host: string): boolean {
  return host.startsWith('127.') || host === '::1';
}

function contradiction(message: string): TrustplaneError {
  return new TrustplaneError('ERR_CONFIG', `authz.listen: ${message}`);
}
