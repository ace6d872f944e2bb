import type { RunningEnvoy } from './launch-envoy.ts';

/** What one Envoy presents now, and how often that changed. */
export interface Seen {
  readonly envoy: string;
  readonly spiffeId: string;
  readonly serialNumber: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** Certificates after the first one. */
  readonly rotations: number;
  /** SHA-256 of the authority that signed it. */
  readonly authority: string;
  /** Authorities after the first one. */
  readonly caRotations: number;
}

/** Watches what an Envoy presents, through its admin interface alone. */
export interface RotationWatch {
  seen(): Seen | undefined;
  /** Rejects when the admin interface fails; never resolves. */
  readonly failed: Promise<never>;
  stop(): void;
}

const pauseMs = 100;

/** `onChange` is called for every new certificate in Envoy's /certs. */
export function watchRotations(envoy: RunningEnvoy, onChange: (seen: Seen) => void): RotationWatch {
  let latest: Seen | undefined;
  let running = true;
  const look = async () => {
    const [certificate] = await envoy.certificates();
    if (certificate === undefined || certificate.serialNumber === latest?.serialNumber) return;
    const authority = await signerOf(envoy, certificate.serialNumber);
    if (authority === undefined) return;
    const rotations = latest === undefined ? 0 : latest.rotations + 1;
    const isNewAuthority = latest !== undefined && latest.authority !== authority;
    const caRotations = (latest?.caRotations ?? 0) + (isNewAuthority ? 1 : 0);
    latest = { envoy: envoy.name, ...certificate, rotations, authority, caRotations };
    onChange(latest);
  };
  const failed = new Promise<never>((_, reject) => {
    const again = (): void => {
      if (running) look().then(() => setTimeout(again, pauseMs), reject);
    };
    again();
  });
  return { seen: () => latest, failed, stop: () => void (running = false) };
}

/** Which of the authorities that Envoy trusts has signed the certificate with this serial. */
async function signerOf(envoy: RunningEnvoy, serialNumber: string): Promise<string | undefined> {
  const secrets = await envoy.secrets();
  const leaf = secrets
    .flatMap(({ chain }) => chain.slice(0, 1))
    .find((candidate) => sameSerial(candidate.serialNumber, serialNumber));
  const authorities = secrets.flatMap((secret) => [...secret.authorities.values()].flat());
  return authorities.find((authority) => leaf?.verify(authority.publicKey))?.fingerprint256;
}

function sameSerial(one: string, other: string): boolean {
  return BigInt(`0x${one}`) === BigInt(`0x${other}`);
}
