import { beforeEach, describe, expect, it } from 'vitest';
import type { Log } from '../ops/index.ts';
import { buildConfig, mergeFlags } from './config.ts';
import { optionNames } from './config-options.ts';
import type { ConfigFile } from './config-schema.ts';
import { defaultPaths } from './default-paths.ts';
import type { LoadedConfig } from './load-config.ts';
import { Reloader } from './reloader.ts';

const started: ConfigFile = { log: { level: 'info' }, server: { ca: { ttl: 3_600_000 } } };
const load = (said: ConfigFile) => (): LoadedConfig => ({
  said,
  config: buildConfig({}, said, defaultPaths(0, {})),
});

let lines: { level: string; fields: object; message: string }[];
let reloader: Reloader;
let level: string;

beforeEach(() => {
  lines = [];
  const writer = (name: string) => (fields: object, message: string) =>
    void lines.push({ level: name, fields, message });
  const log: Log = {
    debug: writer('debug'),
    info: writer('info'),
    warn: writer('warn'),
    error: writer('error'),
    child: () => log,
  };
  reloader = new Reloader(log);
  level = 'info';
  reloader.add(['log.level'], (config) => {
    level = config.logLevel;
  });
});

const messages = () => lines.map(({ level: name, message }) => `${name}: ${message}`);

describe('a reload', () => {
  it('takes up what can be, and names what cannot until it is said as before', async () => {
    const changed: ConfigFile = { log: { level: 'warn' }, server: { ca: { ttl: 7_200_000 } } };
    await reloader.reload(load(changed), started);
    expect(level).toBe('warn');
    const kept = {
      level: 'warn',
      fields: { option: 'server.ca.ttl' },
      message: 'a changed option takes effect at the next start',
    };
    const reloaded = { level: 'info', message: 'the configuration was reloaded' };
    expect(lines).toEqual([
      kept,
      { ...reloaded, fields: { changed: ['log.level'], kept: ['server.ca.ttl'] } },
    ]);
    lines = [];
    await reloader.reload(load(changed), started);
    expect(lines).toEqual([
      kept,
      { ...reloaded, fields: { changed: [], kept: ['server.ca.ttl'] } },
    ]);
    lines = [];
    await reloader.reload(load({ ...started, log: {} }), started);
    expect(level).toBe('info');
    expect(lines).toEqual([{ ...reloaded, fields: { changed: ['log.level'], kept: [] } }]);
  });

  it('changes nothing when the file cannot be loaded, and says why', async () => {
    await reloader.reload(() => {
      throw new Error('c.yaml:1:1: x: unknown key');
    }, started);
    expect(lines).toEqual([
      {
        level: 'error',
        fields: { error: 'c.yaml:1:1: x: unknown key' },
        message: 'the configuration was not reloaded',
      },
    ]);
  });

  it('keeps what a part refuses, takes up the others, and tries again at the next', async () => {
    let fault: Error | undefined = new Error('no such file');
    let tried = 0;
    reloader.add(['server.nodeAttestors.x509pop.caBundle'], () => {
      tried += 1;
      if (fault !== undefined) throw fault;
    });
    const said: ConfigFile = {
      log: { level: 'error' },
      server: { ...started.server, nodeAttestors: { x509pop: { caBundle: '/a.pem' } } },
    };
    await reloader.reload(load(said), started);
    expect(level).toBe('error');
    expect(messages()).toEqual([
      'error: options were not reloaded',
      'warn: a changed option takes effect at the next start',
      'info: the configuration was reloaded',
    ]);
    fault = undefined;
    lines = [];
    await reloader.reload(load(said), started);
    expect(messages()).toEqual(['info: the configuration was reloaded']);
    expect(tried).toBe(2);
  });

  it('is one after the other', async () => {
    const order: string[] = [];
    const first = Promise.withResolvers<void>();
    reloader.add(['server.x509Svid.ttl'], async (config) => {
      order.push(`begins ${config.logLevel}`);
      if (config.logLevel === 'warn') await first.promise;
      order.push(`ends ${config.logLevel}`);
    });
    const both = [
      reloader.reload(load({ log: { level: 'warn' } }), started),
      reloader.reload(load({ log: { level: 'error' } }), started),
    ];
    first.resolve();
    await Promise.all(both);
    expect(order).toEqual(['begins warn', 'ends warn', 'begins error', 'ends error']);
  });
});

it('options have the names of the file, and flags count as said', () => {
  expect(optionNames()).toEqual(
    expect.arrayContaining(['trustDomain', 'server.ca.ttl', 'metrics.address']),
  );
  expect(optionNames({ only: 'reloadable' })).toEqual(expect.arrayContaining(['log.level']));
  expect(optionNames({ only: 'reloadable' })).not.toContain('trustDomain');
  expect(mergeFlags({ logLevel: 'warn' }, {})).toEqual({ log: { level: 'warn' } });
});
