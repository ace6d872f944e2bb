/** A nats-server's configuration: its language takes JSON, and quotes in it need no care of ours. */
export type NatsServerConfig = Readonly<Record<string, unknown>>;

/** Where a nats-server listens, as `host:port`. */
export interface NatsServerPlace {
  /** Unique in its cluster. */
  readonly serverName: string;
  readonly listen: string;
  /** Monitoring over plain HTTP; undefined: none. */
  readonly monitor: string | undefined;
  readonly pidFile: string;
  /** Where streams are kept. */
  readonly jetStreamFolder: string;
  /** Undefined: a server alone. */
  readonly cluster: ClusterPlace | undefined;
  readonly maxConnections: number;
}

export interface ClusterPlace {
  readonly name: string;
  readonly listen: string;
  /** `host:port` of every server's cluster listener; the own one may be among them. */
  readonly routes: readonly string[];
}

/** PEM files that a nats-server presents itself with, and judges others by. */
export interface ServerTlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
}

const KIB = 1_024;
const MIB = 1_024 * KIB;
/** As an agent has with 1,000 federated trust domains, and room. */
const MAX_SUBSCRIPTIONS = 16_384;

/** What holds for every nats-server, whatever it is for. */
export function buildServerBasics(place: NatsServerPlace): NatsServerConfig {
  return {
    server_name: place.serverName,
    listen: place.listen,
    pid_file: place.pidFile,
    ...(place.monitor === undefined ? {} : { http: place.monitor }),
    max_payload: MIB,
    max_connections: place.maxConnections,
    max_subscriptions: MAX_SUBSCRIPTIONS,
    max_control_line: 4 * KIB,
    max_pending: 16 * MIB,
    write_deadline: '5s',
    ping_interval: '20s',
    ping_max: 2,
  };
}

/** TLS of one listener; without `check`, of who dials. */
export function buildTls(
  { certFile, keyFile, caFile }: ServerTlsFiles,
  check?: 'verify' | 'verify_and_map',
): NatsServerConfig {
  return {
    cert_file: certFile,
    key_file: keyFile,
    ca_file: caFile,
    ...(check && { [check]: true, min_version: '1.2' }),
    timeout: 5,
  };
}

/** The text of a configuration file. */
export function formatServerConfig(config: NatsServerConfig, comment: readonly string[]): string {
  return `${comment.map((line) => `# ${line}\n`).join('')}${JSON.stringify(config, undefined, 2)}\n`;
}
