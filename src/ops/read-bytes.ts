/** All of an answer that comes in chunks. @throws Error when it has over `maxBytes`, without reading on */
export async function readBytes(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<Buffer> {
  const read: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > maxBytes) throw new Error(`the answer has over ${maxBytes} bytes`);
    read.push(chunk);
  }
  return Buffer.concat(read);
}
