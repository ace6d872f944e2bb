import { expect, it } from 'vitest';
import { drawRooms } from './room-map.ts';

const rooms = { low: [], middle: ['low'], side: ['low'], top: ['low', 'middle', 'side'] };

it('draws each room in its layer and no arrow that follows from others', () => {
  const drawing = drawRooms(rooms, (room) => `What ${room} does.`);
  expect(drawing.match(/^ {2}\w+ --> \w+$/gm)).toEqual([
    '  middle --> low',
    '  side --> low',
    '  top --> middle',
    '  top --> side',
  ]);
  expect(drawing).toMatch(/subgraph layer1 \[" "\]\n {4}middle\["middle\/"\]\n {4}side/);
  expect(drawing).toContain('| `top/` | What top does. | `low`, `middle`, `side` |');
});

it('refuses a map that names a room it does not describe', () => {
  expect(() => drawRooms({ top: ['nowhere'] }, () => '')).toThrow('nowhere is imported');
});
