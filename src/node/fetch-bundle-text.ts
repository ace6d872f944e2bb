import { createHash, type X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import type { TLSSocket } from 'node:tls';

const MAX_BYTES = 4_194_304;
const TIMEOUT_MS = 10_000;

/**
 * Fetches a text over HTTPS; redirects are not followed. With a pin (SHA-256 of the endpoint's
 * SubjectPublicKeyInfo, hex) the key alone decides; without one the system's authorities and the host
 * name do.
 */
export async function fetchBundleText(url: string, publicKeySha256?: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const call = request(url, {
      agent: false,
      rejectUnauthorized: publicKeySha256 === undefined,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    call.on('socket', (socket: TLSSocket) => {
      if (publicKeySha256 === undefined) return;
      // Before anything is sent or read.
      socket.on('secureConnect', () => {
        const found = pinOf(socket.getPeerX509Certificate());
        if (found === publicKeySha256) return;
        socket.destroy(new Error(`its public key has the SHA-256 ${found}, not the pinned one`));
      });
    });
    call.on('error', reject);
    call.on('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        chunks.push(chunk);
        if (bytes > MAX_BYTES) call.destroy(new Error(`it has more than ${MAX_BYTES} bytes`));
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString('utf8'));
        else reject(new Error(`it answers with status ${response.statusCode}`));
      });
    });
    call.end();
  });
}

function pinOf(certificate: X509Certificate | undefined): string {
  const key = certificate?.publicKey.export({ type: 'spki', format: 'der' }) ?? Buffer.of();
  return createHash('sha256').update(key).digest('hex');
}
