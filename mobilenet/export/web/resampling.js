// Resamples images with the arithmetic of OpenCV and Pillow, which no canvas has.
//
// Sources: OpenCV 4, modules/imgproc/src/resize.cpp; Pillow, src/libImaging/Resample.c.
//
// A method gives for each pixel of an axis the taps that make it: the first source pixel and one
// weight per pixel from there on. `between` ends the pass over columns, `product` and `finish` are
// the pass over rows.

const OPENCV_BITS = 11;
const OPENCV_ONE = 1 << OPENCV_BITS;
const PILLOW_ONE = 1 << 22;

const clip = value => Math.min(255, Math.max(0, value));
const same = value => value;
const times = (value, weight) => value * weight;

/** Rounds as IEEE 754 and Python do: a half goes to the even neighbour. */
export function roundHalfEven(value) {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down;
}

/** Position of the target pixel in the source: the pixel before it and the distance to that. */
function opencvPosition(pixel, scale) {
  const position = Math.fround((pixel + 0.5) * scale - 0.5);
  const start = Math.floor(position);
  return [start, Math.fround(position - start)];
}

const fixedPoint = weights => weights.map(w => roundHalfEven(Math.fround(w) * OPENCV_ONE));

function linearTaps(pixel, scale) {
  const [start, distance] = opencvPosition(pixel, scale);
  return { start, weights: fixedPoint([1 - distance, distance]) };
}

function cubicTaps(pixel, scale) {
  const [start, x] = opencvPosition(pixel, scale);
  const a = -0.75;
  const near = t => ((a + 2) * t - (a + 3)) * t * t + 1;
  const first = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a;
  const weights = [first, near(x), near(1 - x)];
  weights.push(1 - weights[0] - weights[1] - weights[2]);
  return { start: start - 1, weights };
}

/** OpenCV's INTER_AREA where the image grows along one of its axes. */
function grownAreaTaps(pixel, scale) {
  const start = Math.floor(pixel * scale);
  const distance = Math.fround(pixel + 1 - (start + 1) / scale);
  const rest = distance <= 0 ? 0 : Math.fround(distance - Math.floor(distance));
  return { start, weights: fixedPoint([1 - rest, rest]) };
}

function areaTaps(pixel, scale, size) {
  const from = pixel * scale;
  const to = from + scale;
  const cell = Math.min(scale, size - from);
  const last = Math.min(Math.floor(to), size - 1);
  const first = Math.min(Math.ceil(from), last);
  const begins = first - from > 1e-3;
  const weights = begins ? [(first - from) / cell] : [];
  for (let source = first; source < last; source++) weights.push(1 / cell);
  if (to - last > 1e-3) weights.push(Math.min(to - last, 1, cell) / cell);
  return { start: begins ? first - 1 : first, weights: weights.map(Math.fround) };
}

/** The mean of whole blocks of source pixels. */
const blockTaps = (pixel, scale) => ({
  start: pixel * scale,
  weights: new Array(scale).fill(1),
});

const pillowTaps = (filter, reach) => (pixel, scale, size) => {
  const stretch = Math.max(scale, 1);
  const centre = (pixel + 0.5) * scale;
  const start = Math.max(0, Math.trunc(centre - reach * stretch + 0.5));
  const end = Math.min(size, Math.trunc(centre + reach * stretch + 0.5));
  const weights = [];
  for (let source = start; source < end; source++) {
    weights.push(filter(Math.abs((source - centre + 0.5) * (1 / stretch))));
  }
  const sum = weights.reduce((one, other) => one + other, 0);
  const whole = weights.map(w => (w / sum) * PILLOW_ONE);
  return { start, weights: whole.map(w => Math.trunc(w < 0 ? w - 0.5 : w + 0.5)) };
};

const triangle = x => (x < 1 ? 1 - x : 0);

function bicubic(x) {
  const a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

const pillow = taps => {
  const rounded = sum => clip(Math.floor((sum + PILLOW_ONE / 2) / PILLOW_ONE));
  const scale = (size, target) => size / target;
  return { scale, taps, between: rounded, product: times, finish: rounded };
};

/** Source pixels per target pixel, rounded as OpenCV's; a whole number where OpenCV takes it as one. */
function opencvScale(size, target) {
  const scale = 1 / (target / size);
  const whole = Math.round(scale);
  return Math.abs(scale - whole) < Number.EPSILON ? whole : scale;
}

const LINEAR = {
  scale: opencvScale,
  taps: linearTaps,
  between: same,
  product: (value, weight) => (weight * (value >> 4)) >> 16,
  finish: sum => (sum + 2) >> 2,
};
const GROWN_AREA = { ...LINEAR, taps: grownAreaTaps };
// As the library IPP, which OpenCV has on x86, computes it; on Arm 1 of 20 values is off by 1.
const CUBIC = {
  scale: opencvScale,
  taps: cubicTaps,
  between: same,
  product: times,
  finish: sum => clip(roundHalfEven(sum)),
};
const AREA = {
  scale: opencvScale,
  taps: areaTaps,
  between: Math.fround,
  product: times,
  finish: sum => clip(roundHalfEven(Math.fround(sum))),
};

function blockMean(across, down) {
  const share = Math.fround(1 / (across * down));
  const mean = sum => roundHalfEven(Math.fround(sum * share));
  const ofFour = sum => (sum + 2) >> 2;
  const finish = across === 2 && down === 2 ? ofFour : mean;
  return { scale: opencvScale, taps: blockTaps, between: same, product: times, finish };
}

function areaMethod(across, down) {
  if (across < 1 || down < 1) return GROWN_AREA;
  return Number.isInteger(across) && Number.isInteger(down) ? blockMean(across, down) : AREA;
}

const METHODS = {
  linear: (across, down) => (across === 2 && down === 2 ? blockMean(2, 2) : LINEAR),
  cubic: () => CUBIC,
  area: areaMethod,
  "pillow-linear": () => pillow(pillowTaps(triangle, 1)),
  "pillow-cubic": () => pillow(pillowTaps(bicubic, 2)),
};

/** The taps of `count` pixels from `first` on, of an axis that goes from `size` to `target`. */
function axis(method, size, target, first, count) {
  const scale = method.scale(size, target);
  const taps = Array.from({ length: count }, (_, k) => method.taps(first + k, scale, size));
  const inside = position => Math.min(size - 1, Math.max(0, position));
  const begin = Math.min(...taps.map(tap => inside(tap.start)));
  const end = Math.max(...taps.map(tap => inside(tap.start + tap.weights.length - 1))) + 1;
  // What lies beyond the borders repeats the pixels at the borders.
  const places = taps.map(tap => tap.weights.map((_, k) => inside(tap.start + k) - begin));
  return { begin, length: end - begin, places, weights: taps.map(tap => tap.weights) };
}

/**
 * How a window of a resized image is computed.
 *
 * `source` and `target` are sizes {width, height}, `window` is {x, y, width, height} in the target.
 * `columns` and `rows` of the result say by `begin` and `length` which source pixels are needed.
 */
export function plan(name, source, target, window) {
  const across = opencvScale(source.width, target.width);
  const down = opencvScale(source.height, target.height);
  const method = METHODS[name](across, down);
  return {
    method,
    columns: axis(method, source.width, target.width, window.x, window.width),
    rows: axis(method, source.height, target.height, window.y, window.height),
  };
}

/** The window, 3 bytes per pixel, of the pixels that `plan` needs, also 3 bytes each. */
export function resample(pixels, { method, columns, rows }) {
  return overRows(overColumns(pixels, columns, rows.length, method), columns, rows, method);
}

function overColumns(pixels, columns, numRows, { between }) {
  const width = columns.weights.length;
  const result = new Float64Array(numRows * width * 3);
  for (let column = 0; column < width; column++) {
    const places = columns.places[column];
    const weights = columns.weights[column];
    for (let row = 0; row < numRows; row++) {
      const from = row * columns.length * 3;
      const to = (row * width + column) * 3;
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) {
          sum += weights[k] * pixels[from + places[k] * 3 + channel];
        }
        result[to + channel] = between(sum);
      }
    }
  }
  return result;
}

function overRows(values, columns, rows, { product, finish }) {
  const step = columns.weights.length * 3;
  const result = new Uint8ClampedArray(rows.weights.length * step);
  rows.weights.forEach((weights, row) => {
    const starts = rows.places[row].map(place => place * step);
    for (let offset = 0; offset < step; offset++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) {
        sum += product(values[starts[k] + offset], weights[k]);
      }
      result[row * step + offset] = finish(sum);
    }
  });
  return result;
}
