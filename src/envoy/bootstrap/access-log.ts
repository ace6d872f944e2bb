import { httpAccessLogFormat, tcpAccessLogFormat } from '../access-log-format.ts';
import type { BootstrapOptions } from './bootstrap-options.ts';
import { note, type Tree } from './commented-tree.ts';

/** A line of JSON for each request, or for each connection; undefined: none. */
export function accessLogOf({ accessLog, isTcp }: BootstrapOptions): Tree | undefined {
  if (accessLog === 'none') return undefined;
  const isStdout = accessLog === 'stdout';
  const type = isStdout ? 'stream.v3.StdoutAccessLog' : 'file.v3.FileAccessLog';
  return note('Who asked for what, what came of it, and by which rules.', [
    {
      name: `envoy.access_loggers.${isStdout ? 'stdout' : 'file'}`,
      typed_config: {
        '@type': `type.googleapis.com/envoy.extensions.access_loggers.${type}`,
        path: isStdout ? undefined : accessLog,
        log_format: { json_format: isTcp ? tcpAccessLogFormat : httpAccessLogFormat },
      },
    },
  ]);
}
