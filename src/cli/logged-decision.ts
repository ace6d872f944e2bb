import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';

const text = z.string().optional();
interface LoggedDecision {
  readonly id: string;
  readonly caller?: string | undefined;
  readonly credential?: 'x509-svid' | 'jwt-svid' | undefined;
  readonly service?: string | undefined;
  readonly contextExtension?: string | undefined;
  readonly method?: string | undefined;
  readonly path?: string | undefined;
  readonly host?: string | undefined;
  readonly headers?: Readonly<Record<string, string[]>> | undefined;
  readonly source?: string | undefined;
  readonly destination?: string | undefined;
  readonly port?: number | undefined;
}

const lineSchema: z.ZodType<LoggedDecision> = z.object({
  id: z.string(),
  caller: text,
  credential: z.enum(['x509-svid', 'jwt-svid']).optional(),
  service: text,
  contextExtension: text,
  method: text,
  path: text,
  host: text,
  headers: z.record(z.string(), z.array(z.string())).optional(),
  source: text,
  destination: text,
  port: z.number().optional(),
});

/**
 * Finds a decision in a file of JSON lines.
 * @throws TrustplaneError ERR_USAGE when it cannot be read or has none of the ID
 */
export async function findLoggedDecision(file: string, id: string): Promise<LoggedDecision> {
  const mark = `"id":${JSON.stringify(id)}`;
  try {
    for await (const line of createInterface({ input: createReadStream(file) })) {
      if (!line.includes(mark)) continue;
      const logged = lineSchema.parse(JSON.parse(line));
      if (logged.id === id) return logged;
    }
  } catch (cause) {
    throw new TrustplaneError('ERR_USAGE', `--log ${file}: ${messageOf(cause)}`, { cause });
  }
  throw new TrustplaneError('ERR_USAGE', `--log ${file} has no decision ${id}`);
}
