import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { type LineWriter, servePort } from '../check/index.ts';
import type { NatsLink } from '../nats/index.ts';
import type { DecisionLogConfig } from './decision-log-config.ts';
import { type NatsParty, openNatsLink } from './open-nats-link.ts';
import type { Process } from './process.ts';

/**
 * The end of a port whose lines are published to NATS, each batch as one message; undefined when the
 * configuration does not ask for it. Closed with `process`.
 * @throws TrustplaneError ERR_NATS_*
 */
export function publishDecisions(
  { nats }: DecisionLogConfig,
  process: Process,
  party: NatsParty,
): MessagePort | undefined {
  if (nats === undefined) return undefined;
  const link = openNatsLink(nats.config, process, party, 'decisions');
  const { port1, port2 } = new MessageChannel();
  servePort(port1, publisher(link, nats.subject));
  process.closing.defer(() => port1.close());
  return port2;
}

/** Lines are not kept for a nats-server that is away: they are lost, and counted. */
function publisher(link: NatsLink, subject: string): LineWriter {
  return {
    append: async (lines) => {
      const { connection } = link;
      if (connection === undefined || !link.isConnected)
        throw new Error(link.fault ?? 'not connected');
      connection.publish(subject, lines);
    },
    close: async () => {},
  };
}
