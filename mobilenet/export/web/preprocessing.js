// Prepares a photo for the network as `mobilenet predict` does: resized, cropped, normalised.

import { plan, resample, roundHalfEven } from "./resampling.js";

const keepAspect = ({ width, height }, short) => {
  const shorter = Math.min(width, height);
  const scaled = side => Math.floor((side * short) / shorter);
  return { width: scaled(width), height: scaled(height) };
};
const keepAspectRounded = ({ width, height }, short) => {
  const ratio = short / Math.min(width, height);
  return { width: roundHalfEven(ratio * width), height: roundHalfEven(ratio * height) };
};
const squash = (_, short) => ({ width: short, height: short });

// By the names in mobilenet/data/eval_transforms.py: the new size, and what resamples.
const PREPROCESSINGS = {
  "center-crop": [keepAspect, "linear"],
  "center-crop-area": [keepAspect, "area"],
  "center-crop-cubic": [keepAspect, "cubic"],
  "center-crop-pil": [keepAspect, "pillow-linear"],
  "center-crop-pil-cubic": [keepAspect, "pillow-cubic"],
  squash: [squash, "linear"],
  "squash-pil": [squash, "pillow-linear"],
  "squash-256": [squash, "linear"],
  "squash-224": [squash, "linear"],
  "imagenet-preprocess": [keepAspectRounded, "pillow-linear"],
};

const MAX_RESIZED_PIXELS = 1 << 24;
const MAX_RESIZED_SQUARES = 16;
const NUM_NEEDED_SQUARES = 5;

/** The part of a very thin photo that a central crop needs; of others, all. */
function withoutFarEnds({ width, height }, short) {
  const [shorter, longer] = [Math.min(width, height), Math.max(width, height)];
  const resized = Math.floor((short * short * longer) / shorter);
  if (resized <= Math.max(MAX_RESIZED_PIXELS, MAX_RESIZED_SQUARES * short * short)) {
    return { x: 0, y: 0, width, height };
  }
  const end = Math.floor((longer - NUM_NEEDED_SQUARES * shorter) / 2);
  return height === longer
    ? { x: 0, y: end, width, height: height - 2 * end }
    : { x: end, y: 0, width: width - 2 * end, height };
}

/**
 * How a photo of `size` {width, height} becomes the crop.
 *
 * `box` {x, y, width, height} of the result is the part of the photo that `cropped` needs.
 */
export function planCrop(size, facts) {
  const [resize, method] = PREPROCESSINGS[facts.name];
  const kept = resize === squash ? { x: 0, y: 0, ...size } : withoutFarEnds(size, facts.short_side);
  const target = resize(kept, facts.short_side);
  const [height, width] = facts.crop ?? [facts.resolution, facts.resolution];
  const x = Math.floor((target.width - width) / 2);
  const y = Math.floor((target.height - height) / 2);
  const resampling = plan(method, kept, target, { x, y, width, height });
  const { columns, rows } = resampling;
  return {
    width,
    height,
    resampling,
    box: {
      x: kept.x + columns.begin,
      y: kept.y + rows.begin,
      width: columns.length,
      height: rows.length,
    },
  };
}

/** The crop, 3 bytes per pixel, of the pixels in the box of the plan, also 3 bytes each. */
export const cropped = (pixels, { resampling }) => resample(pixels, resampling);

/** The input of the network: `count` images, all but the first empty, planes of R, G and B. */
export function networkInput(crop, facts, { type, batch: count }) {
  const size = crop.length / 3;
  const input = new (type === "uint8" ? Uint8Array : Float32Array)(count * crop.length);
  for (let channel = 0; channel < 3; channel++) {
    const [mean, std] = [facts.mean[channel], facts.std[channel]];
    const table = Float32Array.from({ length: 256 }, (_, value) => (value / 255 - mean) / std);
    for (let place = 0; place < size; place++) {
      const value = table[crop[place * 3 + channel]];
      input[channel * size + place] = type === "uint8" ? clipped(value) : value;
    }
  }
  return input;
}

const clipped = value => Math.min(255, Math.max(0, roundHalfEven(value)));
