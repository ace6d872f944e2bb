import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { type LineWriter, servePort } from '../check/index.ts';
import type { NatsLink } from '../nats/index.ts';
import type { TrustMapSource } from '../spiffe/index.ts';
import type { DecisionLogConfig } from './decision-log-config.ts';
import { openNatsLink } from './open-nats-link.ts';
import type { Process } from './process.ts';

/** Publishes what other threads write into a port, which each of them gets for itself. */
export interface DecisionPublisher {
  /** To be transferred to the thread; closed by it, or with it. */
  openPort(): MessagePort;
}

/**
 * Lines of the decision log to NATS, each batch as one message; the connection is closed with `process`.
 * @throws TrustplaneError ERR_NATS_*
 */
export function publishDecisions(
  { config, subject }: NonNullable<DecisionLogConfig['nats']>,
  process: Process,
  trust: TrustMapSource,
): DecisionPublisher {
  const party = { role: 'agent', identity: () => undefined, trust } as const;
  const link = openNatsLink(config, process, party, 'decisions');
  const writer = publisher(link, subject);
  return {
    openPort() {
      const { port1, port2 } = new MessageChannel();
      servePort(port1, writer);
      return port2;
    },
  };
}

/** Lines are not kept for a nats-server that is away: they are lost, and counted. */
function publisher(link: NatsLink, subject: string): LineWriter {
  return {
    append: async (lines) => {
      const { connection } = link;
      if (connection === undefined || !link.isConnected)
        throw new Error(link.fault ?? 'not connected');
      connection.publish(subject, lines);
      // Where a server takes nothing, lines wait in the queue, which is bounded, and not in its connection.
      await connection.flush();
    },
    close: async () => {},
  };
}
