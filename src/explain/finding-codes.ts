/** What a finding says of the question: it decides the verdict, or is only worth knowing. */
export type Weight = 'refused' | 'waiting' | 'served' | 'entitled' | 'note';

/**
 * Code → weight, meaning, and what to do in general. In order of rank: what comes first explains what comes
 * after it. A code never changes its meaning.
 */
export const findingCodes = {
  // who is asked about
  'container-unknown': [
    'refused',
    'No process of this host is in a container with that ID.',
    'Compare with `docker ps --no-trunc` or `crictl ps`; the agent has to see the PID namespace of the host.',
  ],
  'envoy-unknown': [
    'refused',
    'No stream of an Envoy with that node ID is open.',
    'Compare with `--service-node` of the Envoy, and its cluster of the agent: is it connected to this socket?',
  ],
  'process-gone': [
    'refused',
    'There is no process with that pid; nothing is served to one that has exited.',
    'Find the pid it has now; the agent numbers processes as its own PID namespace does.',
  ],
  'pid-reused': [
    'refused',
    'Another process has the pid now; the one that opened the stream has exited.',
    'Let the present process open a connection of its own.',
  ],
  'process-changed': [
    'refused',
    'The process has another user or group than when it connected.',
    'Let it connect again after it has changed its user.',
  ],
  'attestation-failed': [
    'refused',
    'No attestor could tell anything about the process.',
    'See the log of the agent for `an attestor failed`.',
  ],
  // the agent
  'agent-banned': [
    'refused',
    'The agent is banned: it serves nobody.',
    'On the server: `trustplane agent evict ID`, then let the agent attest again.',
  ],
  'agent-suspended': [
    'refused',
    'The agent is suspended: nothing is issued to it or through it.',
    'On the server: `trustplane unsuspend --agent ID`.',
  ],
  'agent-not-joined': [
    'refused',
    'The agent is no member of the trust domain: it has not attested yet, or the servers do not know it any more.',
    'See the reason; with a join token: `trustplane token generate` on the server, and start the agent with it.',
  ],
  'agent-svid-expired': [
    'refused',
    'The SVID of the agent itself has expired, so no server takes its calls.',
    'Let the agent reach a server, or attest again.',
  ],
  // an entry of it
  'id-suspended': [
    'refused',
    'The SPIFFE ID is suspended: nothing is issued to it.',
    'On the server: `trustplane unsuspend --spiffe-id ID`.',
  ],
  'entry-suspended': [
    'refused',
    'The entry is suspended: nothing is issued for it.',
    'On the server: `trustplane unsuspend --entry ID`.',
  ],
  'entry-expired': [
    'refused',
    'The entry that would match has expired.',
    'Create it again with a later `--expires-at`, or without one.',
  ],
  'entry-deleted': [
    'refused',
    'The entry that would match was deleted.',
    'Create it again if that was a mistake.',
  ],
  'store-svid-only': [
    'refused',
    'The entry is for an SVID store (`store_svid`): no workload gets it from an agent.',
    '`trustplane entry update ID --no-store-svid`',
  ],
  'agent-behind': [
    'waiting',
    'The server has the entry, and the agent does not have it yet, or has it as it was.',
    'See `trustplane status --agent`; a server tells its agents at once, unless the stream is down.',
  ],
  'not-synced': [
    'waiting',
    'No server has told this agent what it may serve since it was started.',
    'See `trustplane status --agent` for why; nobody is refused meanwhile, they wait.',
  ],
  'svid-revoked': [
    'waiting',
    'What was issued is revoked, and another is not there yet.',
    'Wait for the next one; if it does not come, see the other findings.',
  ],
  'rate-limited': [
    'waiting',
    'The server holds back what this host asks for: it asks too fast.',
    'Raise `server.rateLimits.signing`, or wait for the next attempt.',
  ],
  'authority-expired': [
    'waiting',
    'The authority that would sign has expired or is not active.',
    'On the server: `trustplane status` and `trustplane authority x509 show`.',
  ],
  'authority-unknown': [
    'waiting',
    'An SVID is there, but the bundle that is known here does not have its authority yet.',
    'Compare `trustplane authority x509 show` with `trustplane bundle show`; see `trustplane status --agent`.',
  ],
  'server-unreachable': [
    'waiting',
    'No server answers this agent.',
    'See the message for where it breaks; `trustplane status --agent` shows the server in use.',
  ],
  'issuance-refused': [
    'waiting',
    'The server refused to issue the SVID.',
    'Look the code up in docs/reference/errors.md; the log of the server has it with the entry.',
  ],
  'svid-pending': [
    'waiting',
    'The SVID has been asked for and has not come yet.',
    'Wait some seconds; ask again.',
  ],
  // what an Envoy asks for
  nack: [
    'note',
    'Envoy refused what it was sent, and keeps what it had.',
    'See what Envoy says of it; `trustplane envoy lint` finds what is wrong in its configuration.',
  ],
  'not-acked': [
    'note',
    'Envoy was sent it, and has not answered since.',
    'See whether Envoy is stuck: its admin interface, `/certs` and `/config_dump`.',
  ],
  'jwt-refused': [
    'note',
    'A JWT-SVID was asked for, and not given.',
    'See the reason; `trustplane api fetch jwt --audience AUDIENCE`, as the workload, asks again.',
  ],
  'name-unknown': [
    'waiting',
    'A secret is asked for by a name that is neither a SPIFFE ID nor one of the configured names.',
    'Name a SPIFFE ID, or `default`, `ROOTCA` or `ALL` (or what `agent.sds` calls them).',
  ],
  'federation-missing': [
    'waiting',
    'A bundle of a foreign trust domain is asked for, and no entry of the process federates with it.',
    '`trustplane entry update ID --federates-with TRUST_DOMAIN`',
  ],
  'bundle-unknown': [
    'waiting',
    'An entry federates with a trust domain whose bundle is not known here.',
    'On the server: `trustplane federation show TRUST_DOMAIN` and `trustplane federation refresh TRUST_DOMAIN`.',
  ],
  'name-of-another': [
    'waiting',
    'The ID is another workload’s of this host; this process is not entitled to it.',
    'Ask for the own ID, or change the selectors of the entry.',
  ],
  'attestor-timed-out': [
    'refused',
    'An attestor took too long, so the selectors it would have found are missing.',
    'See what it asks (docker, the kubelet, a slow disk), then let the workload ask again.',
  ],
  'attestor-failed': [
    'refused',
    'An attestor failed, so the selectors it would have found are missing.',
    'See its message, and the log of the agent.',
  ],
  'executable-differs': [
    'refused',
    'The process runs another program than the entry names, or it cannot be told which.',
    'Compare both paths; the agent has to see the file under the same path.',
  ],
  'selector-differs': [
    'refused',
    'The nearest entry wants another value of something that the process shows.',
    'Change the entry (`trustplane entry update ID --selector …`) or run the process as the entry says.',
  ],
  'missing-selector': [
    'refused',
    'The nearest entry wants a selector that the process does not show.',
    'Change the entry, or see why no attestor finds it: is the attestor configured?',
  ],
  'wrong-parent': [
    'refused',
    'An entry matches, but is below another agent.',
    'Give it a parent that this agent is or shows: `trustplane entry update ID --parent-id …`.',
  ],
  'alias-not-shown': [
    'refused',
    'An entry matches, but is below a node alias whose selectors this agent’s node does not show.',
    'Change the alias, or let the node show it; `trustplane agent show ID` lists what it shows.',
  ],
  'parent-missing': [
    'refused',
    'An entry matches, but nothing has the SPIFFE ID that it, or a parent of it, is below.',
    'Create the missing parent, or change the one that names it.',
  ],
  'no-entry-for-id': [
    'refused',
    'No entry that is known here gives that SPIFFE ID.',
    'On the server, which knows all: `trustplane explain --spiffe-id ID --agent AGENT --selector …`.',
  ],
  'name-nobody': [
    'waiting',
    'A secret is asked for by a SPIFFE ID that nobody of this host is entitled to; it waits in silence.',
    'Create an entry for it below this agent, or ask for another name.',
  ],
  'no-entry': [
    'refused',
    'No entry that is known here is anywhere near what the process shows.',
    '`trustplane entry create --spiffe-id … --selector …` below this agent.',
  ],
  'not-asked': [
    'waiting',
    'It is entitled, and has no stream open: nobody asks.',
    'Let the workload ask at this agent’s socket (SPIFFE_ENDPOINT_SOCKET).',
  ],
  'server-cannot-say': [
    'note',
    'The server does not offer explanations (SPIRE, or an older release): what it has beyond this agent is not known.',
    'Look there: `spire-server entry show`.',
  ],
  // one certificate
  'serial-revoked': [
    'refused',
    'The certificate is revoked: by its serial number, SPIFFE ID, entry or agent.',
    'See who did it and why: `trustplane revocation list`.',
  ],
  'serial-unknown': [
    'refused',
    'The audit ledger of this server does not have the serial number: another server issued it, or it is older than what is kept.',
    '`trustplane audit show --serial HEX` on the other servers.',
  ],
  'serial-expired': ['refused', 'The certificate has expired.', 'Nothing.'],
  'serial-good': [
    'entitled',
    'The certificate is neither revoked nor expired.',
    '`trustplane revoke --serial HEX` where it is in wrong hands.',
  ],
  // worth knowing
  'revoked-before': [
    'note',
    'What was issued until some instant is refused; later SVIDs are good.',
    'See who did it and why: `trustplane revocation list`.',
  ],
  'duplicate-entries': [
    'note',
    'Several entries give the process the same SPIFFE ID: the oldest counts where there can be one.',
    'Delete those that are not needed: `trustplane entry delete ID`.',
  ],
  'hint-shadowed': [
    'note',
    'Several identities have the same hint: the oldest keeps it, the others have none.',
    'Give each a hint of its own: `trustplane entry update ID --hint …`.',
  ],
  'renewal-failing': [
    'note',
    'The SVID is good, and its renewal fails.',
    'See the reason; it is tried again until the SVID expires.',
  ],
  served: ['served', 'Entitled, and served.', 'Nothing.'],
  entitled: [
    'entitled',
    'The server would issue it; whether it is served, the agent knows.',
    'On the host: `trustplane explain --spiffe-id ID`.',
  ],
  'admin-identity': [
    'note',
    'Its holder may use the server API (`admin`).',
    '`trustplane entry update ID --no-admin` where that is not meant.',
  ],
  'downstream-identity': [
    'note',
    'Its holder may be a server below this one (`downstream`).',
    '`trustplane entry update ID --no-downstream` where that is not meant.',
  ],
  'prefetch-disabled': [
    'note',
    '`disable_x509_svid_prefetch`: SPIRE’s agents make its SVID only when it is asked for; those of trustplane always do so.',
    'Nothing.',
  ],
  'dns-names': ['note', 'Its SVID has DNS names.', 'Nothing.'],
} as const;

export type FindingCode = keyof typeof findingCodes;

const ranks = new Map(Object.keys(findingCodes).map((code, rank) => [code, rank]));

/** Lower comes first. */
export function rankOf(code: FindingCode): number {
  return ranks.get(code) ?? ranks.size;
}
