import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { z } from 'zod';

const exported = z.looseObject({
  resourceSpans: z.array(
    z.looseObject({
      scopeSpans: z.array(
        z.looseObject({
          spans: z.array(
            z.looseObject({
              name: z.string(),
              traceId: z.string(),
              spanId: z.string(),
              parentSpanId: z.string().optional(),
              attributes: z.array(z.looseObject({ key: z.string() })),
              status: z.looseObject({ message: z.string().optional() }),
            }),
          ),
        }),
      ),
    }),
  ),
});

type Exported = z.output<
  typeof exported
>['resourceSpans'][number]['scopeSpans'][number]['spans'][number];

/** Takes OTLP over HTTP, as a collector does, and answers with `status`. */
export async function serveCollector(status = 200) {
  const spans: Exported[] = [];
  const paths: (string | undefined)[] = [];
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    paths.push(request.url);
    const { resourceSpans } = exported.parse(JSON.parse(await text(request)));
    spans.push(...resourceSpans.flatMap((one) => one.scopeSpans).flatMap((one) => one.spans));
    response.writeHead(status).end('{}');
  };
  const server = createServer((request, response) => void take(request, response));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return { endpoint: `http://127.0.0.1:${port}/v1/traces`, spans, paths, close };
}
