import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { FakeTrustMap } from '../../test/fakes/fake-trust-map.ts';
import { eventually } from '../../test/programs/eventually.ts';
import { launchNatsServer } from '../../test/programs/launch-nats-server.ts';
import { failedDecision } from '../authz/index.ts';
import type { CheckRecord } from '../check/index.ts';
import { connectNats } from '../nats/index.ts';
import { createMetrics, silentLog, systemClock } from '../ops/index.ts';
import { emptyBundle, TrustDomain } from '../spiffe/index.ts';
import { buildDecisionLog, type DecisionLogConfig } from './decision-log-config.ts';
import { type DecisionLogFile, decisionLogSchema } from './decision-log-schema.ts';
import { openDecisionLog } from './open-decision-log.ts';
import { createProcess } from './process.ts';
import { publishDecisions } from './publish-decisions.ts';

const record: CheckRecord = {
  id: 'n1-1',
  decision: failedDecision('bad_request'),
  request: undefined,
  caller: undefined,
  at: 0,
  latencyMicros: 1,
};

function configOf(file: DecisionLogFile): DecisionLogConfig {
  const config = buildDecisionLog(decisionLogSchema.parse(file));
  if (config === undefined) throw new Error('there is none');
  return config;
}

function natsOf({ nats }: DecisionLogConfig): NonNullable<DecisionLogConfig['nats']> {
  if (nats === undefined) throw new Error('there is none');
  return nats;
}

describe('the configuration of the decision log', () => {
  it('has somewhere to write', () => {
    expect(buildDecisionLog(undefined)).toBeUndefined();
    expect(() => configOf({ sample: 0.5 })).toThrow('expected file, stdout: true, nats');
    expect(() => configOf({ subject: 'a' })).toThrow('say nothing without each other');
    expect(configOf({ stdout: true })).toMatchObject({ sample: 1, headers: [], file: undefined });
  });

  it('never shows the headers that carry secrets (AUTHZ-17)', () => {
    for (const name of ['authorization', 'cookie', 'x-api-token', 'X-Upper', 'x-client-secret']) {
      expect(decisionLogSchema.safeParse({ stdout: true, headers: [name] }).success).toBe(false);
    }
    expect(configOf({ stdout: true, headers: ['x-request-id'] }).headers).toEqual(['x-request-id']);
  });
});

describe('the decision log', () => {
  it('is a file, and counts what is written and what is lost', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'decisions-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const metrics = createMetrics();
    const file = path.join(folder, 'decisions.jsonl');
    const open = (config: DecisionLogConfig) =>
      openDecisionLog({ config, clock: new FakeClock(), log: silentLog, metrics });
    const log = open(configOf({ file }));
    log.record(record);
    await log.close();
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ id: 'n1-1', allowed: false });
    expect(await metrics.render()).toContain('{sink="file",result="written"} 1');
  });

  it('counts what is lost', async () => {
    const metrics = createMetrics();
    const config = configOf({ file: '/proc/nowhere/decisions.jsonl' });
    const log = openDecisionLog({ config, clock: new FakeClock(), log: silentLog, metrics });
    log.record(record);
    await log.close();
    expect(await metrics.render()).toContain('{sink="file",result="dropped"} 1');
  });

  it('is published over the connection of another thread', async () => {
    await using nats = await launchNatsServer();
    const config = configOf({ nats: { servers: [nats.url] }, subject: 'decisions' });
    const process = createProcess('error');
    onTestFinished(async () => await process.closing.disposeAsync());
    const link = await connectNats({
      ...process,
      servers: [nats.url],
      purpose: 'test',
      name: 'test',
      clock: systemClock,
    });
    onTestFinished(async () => await link.close());
    const heard: unknown[] = [];
    link.connection.subscribe('decisions', {
      callback: (_, message) => void heard.push(JSON.parse(message.string())),
    });
    await link.connection.flush();
    const trust = new FakeTrustMap(emptyBundle(TrustDomain.parse('prod.example')));
    const publisher = publishDecisions(natsOf(config), process, trust);
    await eventually('the line', async () => {
      const port = publisher.openPort();
      const decisions = openDecisionLog({ ...process, config, port, metrics: createMetrics() });
      decisions.record(record);
      await decisions.close();
      return heard.length > 0 || undefined;
    });
    expect(heard[0]).toMatchObject({ id: 'n1-1', reason: 'bad_request' });
  });

  it('waits for a nats-server that takes nothing: what it has not taken is not called written', async () => {
    const sockets: Socket[] = [];
    let pongs = 1;
    let waiting = 0;
    const answer = (socket: Socket): void => {
      for (; waiting > 0 && pongs > 0; waiting--, pongs--) socket.write('PONG\r\n');
    };
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.write('INFO {"server_id":"x","version":"2.15.1","max_payload":1048576}\r\n');
      socket.on('data', (data) => {
        waiting += data.toString('latin1').split('PING\r\n').length - 1;
        answer(socket);
      });
    });
    onTestFinished(() => void server.close());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const nats = { servers: [`nats://127.0.0.1:${port}`] };
    const config = configOf({ nats, subject: 'decisions' });
    const process = createProcess('fatal');
    onTestFinished(async () => await process.closing.disposeAsync());
    const trust = new FakeTrustMap(emptyBundle(TrustDomain.parse('prod.example')));
    const publisher = publishDecisions(natsOf(config), process, trust);
    const metrics = createMetrics();
    const written = 'trustplane_authz_log_lines_total{sink="nats",result="written"} ';
    const decisions = openDecisionLog({ ...process, config, port: publisher.openPort(), metrics });
    await eventually('a line on its way', async () => {
      decisions.record(record);
      return waiting > 0 || undefined;
    });
    expect(await metrics.render()).not.toContain(written);
    pongs = 1_000;
    for (const socket of sockets) answer(socket);
    await eventually('it', async () => (await metrics.render()).includes(written) || undefined);
    await decisions.close();
  });
});
