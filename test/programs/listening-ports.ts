import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const LISTEN = '0A';
/** A UDP socket that is bound and not connected. */
const UNCONNECTED = '07';

/**
 * Where a process can be reached over a network: `tcp 127.0.0.1:9988`, `tcp6 ...` with the address as
 * the kernel writes it, and the same for UDP (proc_pid_net(5)).
 */
export function listeningPorts(pid: number): string[] {
  const own = new Set(socketInodes(pid));
  return ['tcp', 'tcp6', 'udp', 'udp6'].flatMap((protocol) => {
    const open = protocol.startsWith('tcp') ? LISTEN : UNCONNECTED;
    return rows(pid, protocol)
      .filter(([, , , state, ...rest]) => state === open && own.has(rest[5] ?? ''))
      .map(([, local = '']) => `${protocol} ${readable(local)}`);
  });
}

function socketInodes(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((descriptor) => {
    try {
      return /^socket:\[(\d+)\]$/u.exec(readlinkSync(`${folder}/${descriptor}`))?.[1] ?? [];
    } catch {
      return [];
    }
  });
}

function rows(pid: number, protocol: string): string[][] {
  const [, ...lines] = readFileSync(`/proc/${pid}/net/${protocol}`, 'latin1').trim().split('\n');
  return lines.map((line) => line.trim().split(/\s+/u));
}

/** `0100007F:2704` is 127.0.0.1:9988. */
function readable(local: string): string {
  const [address = '', port = ''] = local.split(':');
  const bytes = Buffer.from(address, 'hex');
  const host = bytes.length === 4 ? bytes.reverse().join('.') : address;
  return `${host}:${Number.parseInt(port, 16)}`;
}
