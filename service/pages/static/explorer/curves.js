/** The small picture of an activation within its unit: the curve, the point where the unit is, its tangent. */

import { nothing, svg } from "./vendor/lit-html.js";

const REACHES = [6, 12, 25, 50, 100, 250, 1000, 1e4, 1e6, 1e9, 1e300]; // so that few different curves are asked for
const POINTS = 61;

/** The address of the curve of an activation that reaches as far as these pre-activations; null for a group's. */
export function curveAddress(result, layer, unit) {
  if (result.coupled[layer][unit]) return null;
  const spec = result.specs[layer][unit];
  const farthest = Math.max(...Array.from({ length: result.samples }, (_, s) => Math.abs(result.a(layer, unit, s))));
  const reach = REACHES.find((each) => each >= farthest) ?? REACHES.at(-1);
  const { name, group: _group, ...parameters } = spec;
  const query = new URLSearchParams({ from: -reach, to: reach, points: POINTS, ...parameters });
  return `/v1/activations/${name}/curve?${query}`;
}

/** The picture, in a box. `slope` is null as long as it is not known. */
export function curvePicture(curve, box, a, o, slope) {
  if (!curve) return nothing;
  const map = mapOf(curve, box);
  return svg`
    <line class="axis" x1=${box.x} x2=${box.x + box.width} y1=${map.y(0)} y2=${map.y(0)}></line>
    <line class="axis" x1=${map.x(0)} x2=${map.x(0)} y1=${box.y} y2=${box.y + box.height}></line>
    <path class="curve" d=${pathOf(curve, map)}></path>
    ${slope === null ? nothing : svg`<path class="tangent" d=${tangent(map, a, o, slope)}></path>`}
    ${a === null ? nothing : svg`<circle class="point" cx=${map.x(a)} cy=${map.y(o)} r=${box.width > 30 ? 3.6 : 2.6}></circle>`}`;
}

/** The outputs of a group, as bars, of which one is this unit's. */
export function barsPicture(outputs, own, box) {
  const largest = Math.max(...outputs.map(Math.abs), Number.MIN_VALUE);
  const pitch = box.width / outputs.length;
  return svg`
    <line class="axis" x1=${box.x} x2=${box.x + box.width} y1=${box.y + box.height} y2=${box.y + box.height}></line>
    ${outputs.map((output, index) => {
      const height = Math.max(1, (box.height * Math.abs(output)) / largest);
      return svg`<rect class=${index === own ? "bar own" : "bar"} x=${box.x + index * pitch + pitch * 0.15} width=${pitch * 0.7}
        y=${box.y + box.height - height} height=${height}></rect>`;
    })}`;
}

function mapOf(curve, box) {
  const seen = curve.o.filter((value) => value !== null);
  const [low, high] = [Math.min(0, ...seen), Math.max(0, ...seen)];
  const [left, right] = [curve.a[0], curve.a.at(-1)];
  const across = box.width / (right - left);
  const up = box.height / (high - low || 1);
  return {
    across, up, half: box.width > 30 ? 15 : 9,
    x: (a) => box.x + (a - left) * across,
    y: (o) => box.y + (high - o) * up,
  };
}

function pathOf(curve, map) {
  let pen = "M"; // lifted where the curve has no finite value
  return curve.a.map((a, index) => {
    const o = curve.o[index];
    if (o === null) { pen = "M"; return ""; }
    const step = `${pen}${map.x(a).toFixed(1)} ${map.y(o).toFixed(1)}`;
    pen = "L";
    return step;
  }).join("");
}

function tangent(map, a, o, slope) {
  const [dx, dy] = [map.across, -slope * map.up];
  const half = map.half / Math.hypot(dx, dy);
  const [x, y] = [map.x(a), map.y(o)];
  return `M${x - dx * half} ${y - dy * half}L${x + dx * half} ${y + dy * half}`;
}
