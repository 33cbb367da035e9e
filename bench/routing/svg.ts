/** A line plot, or a row of them, as SVG text. Pure. */

export interface Axis {
  readonly label: string;
  readonly scale: 'linear' | 'log';
  readonly from: number;
  readonly to: number;
  readonly ticks: readonly { readonly at: number; readonly text: string }[];
}

export interface Series {
  readonly name: string;
  readonly colour: string;
  readonly dashed?: boolean;
  /** A mark at each point. */
  readonly marked?: boolean;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Panel {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

const WIDTH = 420;
const HEIGHT = 300;
const MARGIN = { left: 62, right: 14, top: 30, bottom: 44 };
const COLUMNS = 2;
const LEGEND_ROW = 18;

/** Panels two in a row, one legend of all series below. */
export function renderPlots(title: string, panels: readonly Panel[]): string {
  const rows = Math.ceil(panels.length / COLUMNS);
  const legend = [...new Map(panels.flatMap((panel) => panel.series).map((one) => [one.name, one])).values()];
  const width = WIDTH * COLUMNS;
  const legendTop = rows * HEIGHT + 16;
  const height = legendTop + Math.ceil(legend.length / 3) * LEGEND_ROW + 8;
  const drawn = panels.map((panel, at) => {
    const place = `translate(${(at % COLUMNS) * WIDTH} ${Math.floor(at / COLUMNS) * HEIGHT})`;
    return `<g transform="${place}">${renderPanel(panel)}</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...drawn,
    ...legend.map((one, at) =>
      legendEntry(one, 20 + (at % 3) * (width / 3), legendTop + Math.floor(at / 3) * LEGEND_ROW),
    ),
    '</svg>',
    '',
  ].join('\n');
}

function renderPanel({ title, x, y, series }: Panel): string {
  const right = WIDTH - MARGIN.right;
  const bottom = HEIGHT - MARGIN.bottom;
  const toX = positioner(x, MARGIN.left, right);
  const toY = positioner(y, bottom, MARGIN.top);
  return [
    `<text x="${MARGIN.left}" y="18" font-size="13" font-weight="bold">${escaped(title)}</text>`,
    ...x.ticks.map(({ at, text }) => tick(toX(at), bottom, toX(at), MARGIN.top, toX(at), bottom + 14, 'middle', text)),
    ...y.ticks.map(({ at, text }) =>
      tick(MARGIN.left, toY(at), right, toY(at), MARGIN.left - 6, toY(at) + 4, 'end', text),
    ),
    `<text x="${(MARGIN.left + right) / 2}" y="${HEIGHT - 12}" text-anchor="middle">${escaped(x.label)}</text>`,
    `<text transform="translate(14 ${(MARGIN.top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(y.label)}</text>`,
    ...series.map((one) => line(one, toX, toY)),
  ].join('\n');
}

function positioner({ scale, from, to }: Axis, first: number, last: number): (value: number) => number {
  const place =
    scale === 'log' ? (value: number) => Math.log(Math.max(value, Number.MIN_VALUE)) : (value: number) => value;
  return (value) => {
    const inside = Math.min(to, Math.max(from, value));
    const share = (place(inside) - place(from)) / (place(to) - place(from));
    return Math.round((first + share * (last - first)) * 10) / 10;
  };
}

function line(
  { colour, dashed, marked, points }: Series,
  toX: (x: number) => number,
  toY: (y: number) => number,
): string {
  const places = points.map(([x, y]) => [toX(x), toY(y)] as const);
  const dashes = dashed === true ? ' stroke-dasharray="5 3"' : '';
  const drawn = `<polyline fill="none" stroke="${colour}" stroke-width="1.8"${dashes} points="${places.map((place) => place.join(',')).join(' ')}"/>`;
  if (marked !== true) return drawn;
  return [drawn, ...places.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="2.6" fill="${colour}"/>`)].join('\n');
}

function tick(
  ...[x1, y1, x2, y2, textX, textY, anchor, text]: [number, number, number, number, number, number, string, string]
): string {
  return [
    `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="#ddd"/>`,
    `<text x="${textX}" y="${textY}" text-anchor="${anchor}">${escaped(text)}</text>`,
  ].join('\n');
}

function legendEntry({ name, colour, dashed }: Series, x: number, y: number): string {
  const dashes = dashed === true ? ' stroke-dasharray="5 3"' : '';
  return [
    `<line x1="${x}" y1="${y}" x2="${x + 24}" y2="${y}" stroke="${colour}" stroke-width="2.5"${dashes}/>`,
    `<text x="${x + 30}" y="${y + 4}">${escaped(name)}</text>`,
  ].join('\n');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
