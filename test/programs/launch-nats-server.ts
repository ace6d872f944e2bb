import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { findNatsServer } from './find-nats-server.ts';
import { freePorts } from './free-ports.ts';
import type { NetworkHost } from './network-hosts.ts';
import type { Restartable } from './restartable.ts';
import { createRestartable } from './restartable.ts';
import { createRunFolder } from './run-folder.ts';
import type { TiedChild } from './tied-child.ts';

/** A nats-server that can die and come back. */
export interface NatsProgram extends Restartable, AsyncDisposable {
  /** SIGSTOP: it lives, holds its connections, and does nothing. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** SIGHUP; resolves when its configuration is in force, else throws. */
  reload(): Promise<void>;
  /** The first line of the life that runs now that matches, once it is there. */
  line(pattern: RegExp): Promise<string>;
}

/** One with ports and a folder of its own, which it keeps over its lives. */
export interface NatsServer extends NatsProgram {
  readonly name: string;
  /** `nats://address:port` of its client listener; `tls://` where its configuration has TLS. */
  readonly url: string;
  readonly address: string;
  readonly port: number;
  /** `http://address:port` of its monitoring: /varz, /jsz, /healthz. */
  readonly monitorUrl: string;
  /** Holds its configuration and, in `jetstream`, its streams. */
  readonly folder: string;
  readonly configFile: string;
  /** As above, with another text in place of `config`. */
  reload(config?: string): Promise<void>;
}

/** Options of `launchNatsServer`. */
export interface NatsServerOptions {
  /** Default `nats`. */
  readonly name?: string;
  /** More configuration, in nats-server's language: accounts, tls, limits, routes. */
  readonly config?: string;
  /** Streams on disk, synced for each write; default off. */
  readonly jetStream?: boolean | { readonly domain: string };
  /** Default: a free one. */
  readonly port?: number;
  /** Runs it on another host (which this process cannot reach over the network); default here. */
  readonly host?: NetworkHost;
}

/** Starts a nats-server of its own folder and ports that cannot outlive this process. */
export async function launchNatsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const { name = 'nats', host } = options;
  const [freePort = 0, monitorPort = 0] = await freePorts(2);
  const port = options.port ?? freePort;
  const address = host?.address ?? '127.0.0.1';
  const run = createRunFolder();
  const configFile = path.join(run.path, 'nats.conf');
  const configure = async (config = ''): Promise<void> => {
    const place = { name, address, port, monitorPort, folder: run.path };
    await writeFile(configFile, buildConfig({ ...place, jetStream: options.jetStream, config }));
  };
  await mkdir(path.join(run.path, 'jetstream'));
  await configure(options.config);
  const isTls = /^\s*tls\b/m.test(options.config ?? '');
  const program = await createNatsProgram(configFile, host?.spawn);
  const server: NatsServer = {
    ...program,
    name,
    url: `${isTls ? 'tls' : 'nats'}://${address}:${port}`,
    address,
    port,
    monitorUrl: `http://${address}:${monitorPort}`,
    folder: run.path,
    configFile,
    async reload(config) {
      if (config !== undefined) await configure(config);
      await program.reload();
    },
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]();
      await run.remove();
    },
  };
  await server.start();
  return server;
}

/** A nats-server with a configuration that somebody else wrote, not started yet. */
export async function createNatsProgram(
  configFile: string,
  spawn?: NetworkHost['spawn'],
): Promise<NatsProgram> {
  const { file } = await findNatsServer();
  const program = createRestartable({
    command: file,
    args: ['-c', configFile],
    ready: async (child) => await lineOf(child, /Server is ready/),
    ...(spawn === undefined ? {} : { spawn }),
  });
  return {
    ...program,
    pause: () => program.current().kill('SIGSTOP'),
    resume: () => program.current().kill('SIGCONT'),
    line: async (pattern) => await lineOf(program.current(), pattern),
    async reload() {
      const child = program.current();
      const verdict = nextLine(child, /Reloaded server configuration|Failed to reload/);
      child.kill('SIGHUP');
      const said = await verdict;
      if (said.includes('Failed')) throw new Error(said);
    },
    async [Symbol.asyncDispose]() {
      program.current().kill('SIGCONT');
      await program.stop();
    },
  };
}

function buildConfig(from: {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly monitorPort: number;
  readonly folder: string;
  readonly jetStream: NatsServerOptions['jetStream'];
  readonly config: string;
}): string {
  const { jetStream = false } = from;
  const domain = typeof jetStream === 'object' ? `domain: ${jetStream.domain}` : '';
  const streams = `jetstream { store_dir: "${from.folder}/jetstream", sync_interval: always, ${domain} }`;
  return [
    `server_name: ${from.name}`,
    `listen: "${from.address}:${from.port}"`,
    `http: "${from.address}:${from.monitorPort}"`,
    'logtime: true',
    jetStream === false ? '' : streams,
    from.config,
    '',
  ].join('\n');
}

/** Resolves with the first line of a life that matches. Rejects when it ends without. */
async function lineOf(child: TiedChild, pattern: RegExp): Promise<string> {
  return child.lines.find((each) => pattern.test(each)) ?? (await nextLine(child, pattern));
}

async function nextLine(child: TiedChild, pattern: RegExp): Promise<string> {
  const said = new Promise<string>((resolve) => {
    child.onLine((line) => {
      if (pattern.test(line)) resolve(line);
    });
  });
  const ended = child.ended.then((how) => {
    throw new Error(`nats-server ended with ${how}:\n${child.lines.slice(-20).join('\n')}`);
  });
  return await Promise.race([said, ended]);
}
