/** A user that owns nothing, when the tests run as root; else the user they run as. */
export const unprivilegedUid: number =
  process.geteuid?.() === 0 ? 65_534 : (process.geteuid?.() ?? -1);

/** Runs `act` as an unprivileged user, since root may read and write everything. */
export async function asUnprivileged(act: () => void | Promise<void>): Promise<void> {
  const user = process.geteuid?.() ?? -1;
  process.seteuid?.(unprivilegedUid);
  try {
    await act();
  } finally {
    process.seteuid?.(user);
  }
}
