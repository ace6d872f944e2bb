import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LaunchedServer, launchServer } from '../programs/launch-server.ts';
import { residentMib } from '../programs/memory.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

let folder: RunFolder;
let server: LaunchedServer;

beforeEach(() => {
  folder = createRunFolder();
});

afterEach(async () => {
  await server.stop();
  await folder.remove();
});

/** Joins with a token of its own over a connection of its own. */
async function join(): Promise<string> {
  const client = server.dial();
  try {
    return (await client.attest('join_token', Buffer.from(await server.makeToken()))).id;
  } finally {
    client.close();
  }
}

async function joinAll(count: number): Promise<string[]> {
  return await Promise.all(Array.from({ length: count }, () => join()));
}

describe('agents that join at once from one address', () => {
  it('are all attested, one after the other, when they are more than the limit', async () => {
    const config = 'server: { rateLimits: { attestation: 10 } }\n';
    server = await launchServer(folder.path, { config });
    expect(new Set(await joinAll(30)).size).toBe(30);
    expect(await server.ask('agent', 'count')).toEqual({ count: 30 });
  });

  it('are told to come later when the line is too long', async () => {
    server = await launchServer(folder.path);
    const refusal = Promise.withResolvers<unknown>();
    const streams = Array.from({ length: 40 }, () => server.dial().stream('Agent.AttestAgent'));
    for (const stream of streams) {
      stream.read().catch((error: { code: status }) => {
        if (error.code === status.RESOURCE_EXHAUSTED) refusal.resolve(error);
      });
    }
    const message = 'at most 1 attestations a second from one address';
    expect(await refusal.promise).toMatchObject({ details: expect.stringContaining(message) });
    const line = JSON.parse(await server.line('a rate limit refuses calls'));
    expect(line).toMatchObject({ limit: 'attestation', source: '127.0.0.1' });
    for (const stream of streams) stream.cancel();
  });

  it('are all attested in a storm of 1,000 with the limit raised, in bounded memory', async () => {
    const config = 'server: { rateLimits: { attestation: 1000 } }\nlog: { level: warn }\n';
    server = await launchServer(folder.path, { config });
    const before = residentMib(server.pid);
    expect(new Set(await joinAll(1_000)).size).toBe(1_000);
    expect(residentMib(server.pid) - before).toBeLessThan(300);
    expect(await server.ask('agent', 'count')).toEqual({ count: 1_000 });
  });
});
