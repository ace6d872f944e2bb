import type { VaultAuth } from '../ca/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import type { ServerFile, VaultFile } from './server-schema.ts';

/** Where keys are stored that this process never has. */
export interface VaultConfig {
  readonly address: string;
  readonly mount: string;
  readonly keyPrefix: string;
  readonly namespace: string | undefined;
  readonly caFile: string | undefined;
  readonly auth: VaultAuth;
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/** @throws TrustplaneError ERR_CONFIG when the section is missing, idle, or names not one way to log in */
export function buildVault(ca: ServerFile['ca']): VaultConfig | undefined {
  const { keyStorage, vault } = ca ?? {};
  if ((keyStorage === 'vault') !== (vault !== undefined)) {
    throw refused('server.ca.vault and server.ca.keyStorage: vault belong together');
  }
  if (vault === undefined) return undefined;
  const { address, mount = 'transit', keyPrefix = 'trustplane-', namespace, caFile } = vault;
  return { address, mount, keyPrefix, namespace, caFile, auth: buildAuth(vault.auth) };
}

function buildAuth({ tokenFile, appRole, jwt }: VaultFile['auth']): VaultAuth {
  const ways: VaultAuth[] = [];
  if (tokenFile !== undefined) ways.push({ kind: 'token', tokenFile });
  if (appRole !== undefined) {
    const { mount = 'approle', roleId, secretIdFile } = appRole;
    ways.push({ kind: 'approle', mount, roleId, secretIdFile });
  }
  if (jwt !== undefined) {
    const { mount = 'kubernetes', role, tokenFile: file = SERVICE_ACCOUNT } = jwt;
    ways.push({ kind: 'jwt', mount, role, tokenFile: file });
  }
  const [way, ...others] = ways;
  if (way !== undefined && others.length === 0) return way;
  throw refused(
    `server.ca.vault.auth: expected one of tokenFile, appRole and jwt; got ${ways.length}`,
  );
}

function refused(message: string): TrustplaneError {
  return new TrustplaneError('ERR_CONFIG', message);
}
