/** Where everything of the drawing stands. Pure geometry, in pixels: no numbers of the network, no colours. */

export const MOST_UNITS = 9; // of a layer that is drawn with lines
export const MOST_LINES = 160;
export const MOST_CELLS = 4096; // of matrices that are drawn cell by cell
const ROOMY_UNITS = 4; // up to which a number stands at every port
const ROOMY_LAYERS = 3;

const SIZES = {
  roomy: {
    unit: { width: 158, height: 76 }, input: { width: 86, height: 56 }, target: { width: 78, height: 54 },
    loss: { width: 96, height: 64 }, port: 19, bias: 44, gap: 12, least: 120, most: 270, beside: 18, before: 36,
  },
  close: {
    unit: { width: 82, height: 42 }, input: { width: 60, height: 38 }, target: { width: 56, height: 38 },
    loss: { width: 72, height: 50 }, port: 7, bias: 20, gap: 8, least: 32, most: 200, beside: 12, before: 24,
  },
};
const MARGIN = 12;

/** How a network is drawn: "roomy", "close", "cells" or "binned". */
export function styleOf(widths) {
  const lines = widths.slice(1).reduce((sum, units, layer) => sum + units * widths[layer], 0);
  if (Math.max(...widths) > MOST_UNITS || lines > MOST_LINES) return lines > MOST_CELLS ? "binned" : "cells";
  return Math.max(...widths) <= ROOMY_UNITS && widths.length - 1 <= ROOMY_LAYERS ? "roomy" : "close";
}

/** One sentence that says why it is drawn so. */
export const REASONS = {
  roomy: "",
  close: `Numbers stand at the lines of networks of up to ${ROOMY_LAYERS} layers with ${ROOMY_UNITS} units each; here at the chosen one alone.`,
  cells: `Drawn as matrices, one cell a weight: lines would cover each other beyond ${MOST_UNITS} units a layer or ${MOST_LINES} weights.`,
  binned: `Too many weights for a cell each (more than ${MOST_CELLS.toLocaleString("en")}): a cell stands for a block of them and shows its largest.`,
};

/**
 * The boxes and ports of a network that is drawn with lines.
 * @param widths the inputs, then the units of each layer
 * @param biased whether each layer has biases
 * @param targets how many targets are drawn
 * @param available the width at hand
 */
export function layoutOf(widths, biased, targets, available) {
  const size = SIZES[styleOf(widths)];
  const layers = widths.length - 1;
  const fixed = 2 * MARGIN + size.input.width + layers * size.unit.width + size.beside + size.target.width + size.before + size.loss.width;
  const spread = Math.min(size.most, Math.max(size.least, (available - fixed) / layers));
  const width = Math.max(available, fixed + layers * spread);
  const left = MARGIN + (width - fixed - layers * spread) / 2;
  const heights = widths.map((units, column) => columnHeight(size, widths, biased, column, units));
  const height = Math.max(...heights, targets * (size.target.height + size.gap), size.loss.height) + 2 * MARGIN;
  const x = (column) => (column === 0 ? left : left + size.input.width + column * spread + (column - 1) * size.unit.width);
  const middle = height / 2;
  const columns = widths.map((units, column) =>
    boxes(size, widths, biased, column, units, x(column), middle - heights[column] / 2));
  const end = x(layers) + size.unit.width + size.beside;
  const outputs = columns[layers];
  return {
    width, height, roomy: size === SIZES.roomy,
    inputs: columns[0],
    units: columns.slice(1),
    targets: placeTargets(size, targets, end, outputs, middle),
    loss: { x: end + size.target.width + size.before, y: middle - size.loss.height / 2, ...size.loss },
  };
}

function unitHeight(size, inputs) {
  return Math.max(size.unit.height, inputs * size.port + 10);
}

function columnHeight(size, widths, biased, column, units) {
  if (column === 0) return units * size.input.height + (units - 1) * (size.gap + size.bias);
  const below = biased[column - 1] ? size.bias : size.gap;
  return units * (unitHeight(size, widths[column - 1]) + below + size.gap) - size.gap;
}

function boxes(size, widths, biased, column, units, x, top) {
  const box = column === 0 ? size.input : { width: size.unit.width, height: unitHeight(size, widths[column - 1]) };
  const below = column === 0 ? size.bias : biased[column - 1] ? size.bias : size.gap;
  return Array.from({ length: units }, (_, index) => {
    const y = top + index * (box.height + below + size.gap);
    const centre = y + box.height / 2;
    const ports = column === 0 ? [] : Array.from({ length: widths[column - 1] }, (__, from) =>
      centre + (from - (widths[column - 1] - 1) / 2) * size.port);
    return { x, y, ...box, centre, ports };
  });
}

function placeTargets(size, targets, x, outputs, middle) {
  const beside = targets === outputs.length;
  return Array.from({ length: targets }, (_, index) => {
    const centre = beside ? outputs[index].centre : middle + (index - (targets - 1) / 2) * (size.target.height + size.gap);
    return { x, y: centre - size.target.height / 2, ...size.target, centre };
  });
}

/** The path of a line from a unit's right edge to a port: a curve that arrives level, then a straight end. */
export function lineTo(source, port, straight) {
  const [x0, y0] = [source.x + source.width, source.centre];
  const [x1, y1] = [port.x - straight, port.y];
  const bend = (x1 - x0) * 0.55;
  return `M${x0} ${y0}C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}H${port.x}`;
}

/** How thick a line is: by the square root of its size, on one scale for the whole network. */
export function thickness(value, largest, roomy) {
  const [thin, thick] = roomy ? [1.25, 6.5] : [0.9, 4.6];
  return largest > 0 ? thin + (thick - thin) * Math.sqrt(Math.abs(value) / largest) : thin;
}
