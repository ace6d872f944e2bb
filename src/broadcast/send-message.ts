import { TrustplaneError } from '../spiffe/index.ts';
import type { BroadcastMetrics, MessageKind } from './broadcast-metrics.ts';

/** What publishing needs of a connection. */
export interface Publishing {
  readonly connection:
    | {
        readonly info?: { readonly max_payload: number };
        publish(subject: string, bytes: Uint8Array): void;
      }
    | undefined;
}

/**
 * Publishes a message. It waits in the client while the connection is away for a moment.
 * @throws TrustplaneError ERR_BUNDLE_MESSAGE_SIZE when the NATS server takes no message as large; Error when the connection is closed
 */
export function sendMessage(
  { link, metrics }: { readonly link: Publishing; readonly metrics: BroadcastMetrics },
  message: { readonly subject: string; readonly kind: MessageKind; readonly bytes: Uint8Array },
): void {
  const { subject, kind, bytes } = message;
  const maxBytes = link.connection?.info?.max_payload ?? bytes.length;
  if (bytes.length > maxBytes) {
    throw new TrustplaneError(
      'ERR_BUNDLE_MESSAGE_SIZE',
      `the NATS server takes messages of at most ${maxBytes} bytes; that for ${subject} has ${bytes.length}`,
    );
  }
  link.connection?.publish(subject, bytes);
  metrics.published(kind);
}
