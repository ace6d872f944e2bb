import { dialAdmin } from './admin-call.ts';

/** Levels in lower case. */
export interface LoggerState {
  readonly current: string;
  /** What a reset goes back to. */
  readonly configured: string;
}

/** The log of a server, over its admin socket, or of an agent, over its socket. Every call fails with a TrustplaneError. */
export interface LoggerClient {
  get(): Promise<LoggerState>;
  set(level: string): Promise<LoggerState>;
  reset(): Promise<LoggerState>;
  close(): void;
}

interface LoggerMessage {
  readonly current_level?: string;
  readonly launch_level?: string;
}

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createLoggerClient(socket: string, role: 'server' | 'agent'): LoggerClient {
  const { call, close } = dialAdmin(socket);
  const service = role === 'agent' ? 'AgentLogger' : 'Logger';
  const ask = async (method: string, request: object): Promise<LoggerState> => {
    const message = await call<LoggerMessage>(service, method, request);
    const [current = '', configured = ''] = [message.current_level, message.launch_level];
    return { current: current.toLowerCase(), configured: configured.toLowerCase() };
  };
  return {
    get: () => ask('GetLogger', {}),
    set: (level) => ask('SetLogLevel', { new_level: level.toUpperCase() }),
    reset: () => ask('ResetLogLevel', {}),
    close,
  };
}
