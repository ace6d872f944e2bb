import type { MessagePort } from 'node:worker_threads';
import type { AssertionKey } from '../check/index.ts';
import type { Figure, LogLevel } from '../ops/index.ts';
import type { ErrorCode } from '../spiffe/index.ts';
import type { AuthzConfig } from './authz-config.ts';
import type { PolicySet } from './policy-source.ts';
import type { LogLine } from './thread-log.ts';

/** What the thread that answers checks is started with. */
export interface AuthzThreadData {
  readonly config: AuthzConfig;
  /** The own one, by name. */
  readonly trustDomain: string;
  /** The agent's socket, where an SVID to present is fetched unless another is configured. */
  readonly agentSocket: string;
  readonly logLevel: LogLevel;
  /** Lines of the decision log go there to be published; undefined: nowhere. */
  readonly decisionPort: MessagePort | undefined;
}

/** What the main thread tells it. */
export type ToAuthzThread =
  /** The first one, once. */
  | { readonly type: 'begin'; readonly data: AuthzThreadData }
  /** An encoded trustplane.agent.v1.FactsUpdate; answered with `facts-taken`. */
  | { readonly type: 'facts'; readonly update: Uint8Array }
  | { readonly type: 'policies'; readonly set: PolicySet }
  /** Signs assertions from now on. */
  | { readonly type: 'assertion-key'; readonly key: AssertionKey }
  /** Answered with `pong`: a thread that does not is dead. */
  | { readonly type: 'ping'; readonly logLevel: LogLevel }
  | { readonly type: 'metrics' }
  /** Ends what is served, then itself. */
  | { readonly type: 'close'; readonly graceMs: number };

/** What it tells the main thread. */
export type FromAuthzThread =
  /** The socket is open, and TCP in clear text: checks are answered. */
  | { readonly type: 'listening' }
  /** It has answered so many that it is as fast as it gets. */
  | { readonly type: 'ready' }
  /** It could not begin. */
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string }
  /** It has failed: it denies everything, ends its connections, and then itself. */
  | { readonly type: 'failing'; readonly message: string }
  | { readonly type: 'facts-taken' }
  /** What it was told cannot be used: it is to be told all, anew. */
  | { readonly type: 'facts-refused'; readonly message: string }
  /** Requests are decided by the policies of this digest. */
  | { readonly type: 'in-force'; readonly digest: string }
  /** Why it does not listen on TLS; undefined: it does, or need not. */
  | { readonly type: 'fault'; readonly fault: string | undefined }
  | { readonly type: 'pong' }
  | { readonly type: 'metrics'; readonly figures: readonly Figure[] }
  | ({ readonly type: 'log' } & LogLine);
