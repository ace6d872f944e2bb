import { status } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { serveForTest } from '../../test/fakes/admin-socket.ts';
import { type LevelControl, silentLog } from '../ops/index.ts';
import { createLoggerService } from './logger-service.ts';

it.each(['server', 'agent'] as const)(
  'shows, sets and resets the level of the log of a %s',
  async (role) => {
    const control: LevelControl = { level: 'info', configuredLevel: 'info' };
    const call = await serveForTest(createLoggerService(role, control, silentLog));
    expect(await call('GetLogger')).toEqual({ current_level: 'INFO', launch_level: 'INFO' });
    expect(await call('SetLogLevel', { new_level: 'DEBUG' })).toMatchObject({
      current_level: 'DEBUG',
    });
    expect(control).toEqual({ level: 'debug', configuredLevel: 'info' });
    expect(await call('SetLogLevel', { new_level: 'PANIC' })).toMatchObject({
      current_level: 'FATAL',
    });
    expect(await call('ResetLogLevel')).toEqual({ current_level: 'INFO', launch_level: 'INFO' });
    expect(control.level).toBe('info');
  },
);

it.each([{}, { new_level: 0 }, { new_level: 99 }])('refuses the level of %j', async (request) => {
  const control: LevelControl = { level: 'warn', configuredLevel: 'info' };
  const call = await serveForTest(createLoggerService('server', control, silentLog));
  await expect(call('SetLogLevel', request)).rejects.toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: expect.stringContaining('new_level: expected one of PANIC'),
  });
  expect(control.level).toBe('warn');
});
