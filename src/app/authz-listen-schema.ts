import { z } from 'zod';
import { parseIdPattern } from '../authz/index.ts';
import { SpiffeId } from '../spiffe/index.ts';
import {
  type Address,
  absolutePath,
  listenAddress,
  option,
  parsed,
  type Section,
} from './config-values.ts';

const idPattern = parsed('^spiffe://', 'pattern of SPIFFE IDs', (text) => {
  parseIdPattern(text);
  return text;
});
const spiffeId = parsed('^spiffe://', 'SPIFFE ID', (text) => SpiffeId.parse(text).toString());

/** Section `authz.listen`. */
export const authzListenSchema: z.ZodType<AuthzListenFile> = z.strictObject({
  address: listenAddress.meta({
    description:
      'IP address and port on which proxies ask over TCP. Without `tls` only a loopback address, unless clearText says otherwise.',
    examples: ['127.0.0.1:9192'],
  }),
  clearText: option(
    z.boolean(),
    false,
    'Serve without TLS on an address that others reach: who is between proxy and trustplane reads and writes decisions.',
  ),
  tls: z
    .strictObject({
      certificateFile: absolutePath.optional().meta({
        description:
          'PEM chain that is presented, leaf first; read again when it changes. Without it an SVID from the Workload API, which is renewed while connections last.',
        examples: ['/etc/trustplane/authz.pem'],
      }),
      privateKeyFile: absolutePath.optional().meta({
        description: 'PEM private key (PKCS#8) of that certificate.',
        examples: ['/etc/trustplane/authz.key'],
      }),
      workloadApi: absolutePath.optional().meta({
        description:
          'Unix socket of the Workload API that gives the SVID; default the socket of the agent.',
        examples: ['/run/trustplane/agent.sock'],
      }),
      spiffeId: spiffeId.optional().meta({
        description: 'Which of the SVIDs that the Workload API gives; default the first.',
        examples: ['spiffe://example.org/authz'],
      }),
      clients: z
        .array(idPattern)
        .min(1)
        .max(1_000)
        .optional()
        .meta({
          description:
            'Patterns of the SPIFFE IDs that may ask; default any ID of the own trust domain.',
          examples: [['spiffe://example.org/ingress/*']],
        }),
      anonymousClients: option(z.boolean(), false, 'Answer also those who present no certificate.'),
    })
    .optional(),
});

export interface AuthzListenFile extends Section<{ clearText: boolean; tls: AuthzTlsFile }> {
  readonly address: Address;
}

export interface AuthzTlsFile
  extends Section<{
    certificateFile: string;
    privateKeyFile: string;
    workloadApi: string;
    spiffeId: string;
    clients: string[];
    anonymousClients: boolean;
  }> {}
