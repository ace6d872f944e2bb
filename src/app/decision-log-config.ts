import { TrustplaneError } from '../spiffe/index.ts';
import type { DecisionLogFile } from './decision-log-schema.ts';
import { buildNats, type NatsConfig } from './nats-config.ts';

/** Where a line goes for each decision, and what is in it. */
export interface DecisionLogConfig {
  /** At least one of the file, standard output and NATS is there. */
  readonly file:
    | { readonly path: string; readonly maxBytes: number; readonly keep: number }
    | undefined;
  readonly stdout: boolean;
  readonly nats: { readonly config: NatsConfig; readonly subject: string } | undefined;
  /** Share of the allowed requests, 0 to 1. */
  readonly sample: number;
  /** In lower case. */
  readonly headers: readonly string[];
}

/** Undefined: nothing is logged. @throws TrustplaneError ERR_CONFIG */
export function buildDecisionLog(file: DecisionLogFile | undefined): DecisionLogConfig | undefined {
  if (file === undefined) return undefined;
  const { file: path, maxFileBytes = 0, keepFiles = 5, stdout = false } = file;
  const nats = natsOf(file);
  if (path === undefined && !stdout && nats === undefined)
    throw contradiction('expected file, stdout: true, nats, or several of them; got none');
  return {
    file: path === undefined ? undefined : { path, maxBytes: maxFileBytes, keep: keepFiles },
    stdout,
    nats,
    sample: file.sample ?? 1,
    headers: file.headers ?? [],
  };
}

function natsOf({ nats, subject }: DecisionLogFile): DecisionLogConfig['nats'] {
  if (nats === undefined && subject === undefined) return undefined;
  if (nats === undefined || subject === undefined)
    throw contradiction('nats and subject say nothing without each other');
  return { config: buildNats(nats, 'authz.decisionLog.nats'), subject };
}

function contradiction(message: string): TrustplaneError {
  return new TrustplaneError('ERR_CONFIG', `authz.decisionLog: ${message}`);
}
