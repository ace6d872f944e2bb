import { describe, expect, it } from 'vitest';
import { loadService, messageType } from './protos.ts';

const FILE = 'grpc/health/v1/health.proto';

describe('loadService', () => {
  it('knows the methods of a service by their paths', () => {
    const health = loadService(FILE, 'grpc.health.v1.Health');
    expect(health['Watch']).toMatchObject({
      path: '/grpc.health.v1.Health/Watch',
      requestStream: false,
      responseStream: true,
    });
  });

  it('keeps absent fields absent and writes enums by name', () => {
    const { Check } = loadService(FILE, 'grpc.health.v1.Health');
    expect(Check?.requestDeserialize(Buffer.alloc(0))).not.toHaveProperty('service');
    const bytes = Check?.responseSerialize({ status: 'SERVING' }) ?? Buffer.alloc(0);
    expect(Check?.responseDeserialize(bytes)).toEqual({ status: 'SERVING' });
  });

  it('does not take a string that is cut short', () => {
    const { Check } = loadService(FILE, 'grpc.health.v1.Health');
    expect(Check?.requestDeserialize(Buffer.from('\n\x02ab'))).toEqual({ service: 'ab' });
    for (const bytes of ['\n\x03ab', '\n\xff\xff\xff\x0fab'])
      expect(() => Check?.requestDeserialize(Buffer.from(bytes, 'latin1'))).toThrow('out of range');
  });

  it.each([['grpc.health.v1.Nothing'], ['grpc.health.v1.HealthCheckRequest']])(
    'refuses %s, which is no service',
    (name) => {
      expect(() => loadService(FILE, name)).toThrow(
        expect.objectContaining({ code: 'ERR_INTERNAL' }),
      );
    },
  );
});

describe('messageType', () => {
  it('encodes what the service decodes', () => {
    const type = messageType(FILE, 'grpc.health.v1.HealthCheckRequest');
    const bytes = Buffer.from(type.encode({ service: 'a' }).finish());
    const { Check } = loadService(FILE, 'grpc.health.v1.Health');
    expect(Check?.requestDeserialize(bytes)).toEqual({ service: 'a' });
    expect(messageType(FILE, 'grpc.health.v1.HealthCheckRequest')).toBe(type);
  });

  it('refuses a name that is no message', () => {
    expect(() => messageType(FILE, 'grpc.health.v1.Health')).toThrow(
      expect.objectContaining({ code: 'ERR_INTERNAL' }),
    );
  });
});
