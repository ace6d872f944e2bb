/** The rooms that each room may import. */
type Rooms = Readonly<Record<string, readonly string[]>>;

/** A Mermaid drawing of the rooms in layers, and a table of them; Markdown. */
export function drawRooms(rooms: Rooms, responsibilityOf: (room: string) => string): string {
  const layers = layersOf(rooms);
  const boxes = layers.map((layer, index) =>
    [
      `  subgraph layer${index} [" "]`,
      ...layer.map((room) => `    ${room}["${room}/"]`),
      '  end',
    ].join('\n'),
  );
  const arrows = Object.keys(rooms).flatMap((room) =>
    directImports(rooms, room).map((other) => `  ${room} --> ${other}`),
  );
  const rows = layers
    .flat()
    .map((room) => `| \`${room}/\` | ${responsibilityOf(room)} | ${list(rooms[room] ?? [])} |`);
  return [
    '```mermaid',
    'flowchart TD',
    ...boxes.toReversed(),
    ...arrows,
    '```',
    '',
    '| room | responsibility | may import |',
    '|---|---|---|',
    ...rows.toReversed(),
    '',
  ].join('\n');
}

function list(rooms: readonly string[]): string {
  return rooms.length === 0 ? '—' : rooms.map((room) => `\`${room}\``).join(', ');
}

/** Rooms by the length of the longest way down; the bottom first. */
function layersOf(rooms: Rooms): string[][] {
  const layers: string[][] = [];
  for (const room of Object.keys(rooms)) (layers[depthOf(rooms, room)] ??= []).push(room);
  return layers;
}

function depthOf(rooms: Rooms, room: string): number {
  const below = rooms[room];
  if (below === undefined) throw new Error(`${room} is imported but is no room`);
  return below.length === 0 ? 0 : 1 + Math.max(...below.map((other) => depthOf(rooms, other)));
}

/** Imports that follow from no other: the arrows worth drawing. */
function directImports(rooms: Rooms, room: string): string[] {
  const below = rooms[room] ?? [];
  return below.filter((other) => !below.some((between) => reaches(rooms, between, other)));
}

function reaches(rooms: Rooms, from: string, to: string): boolean {
  return (rooms[from] ?? []).some((next) => next === to || reaches(rooms, next, to));
}
