// Decodes a photo into pixels as they are stored, or turned as its EXIF orientation says.

const MAX_MEGAPIXELS = 100;
const MAX_MEGABYTES = 128;
const STRIP_ROWS = 256;

/** What is wrong with a photo, in a sentence for whoever chose it. */
export class PhotoError extends Error {}

/** The photo as an ImageBitmap; `orientation` is "apply" or "ignore". */
export async function decoded(file, orientation) {
  if (file.size > MAX_MEGABYTES * 1e6) {
    throw new PhotoError(
      `${file.name} has ${Math.ceil(file.size / 1e6)} MB; at most ${MAX_MEGABYTES} MB are taken.`,
    );
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  const header = readHeader(bytes);
  checkSize(file, header.size);
  const isStored = orientation === "ignore";
  if (isStored) takeOrientationBack(bytes, header.orientations);
  // OpenCV ignores colour profiles.
  const options = { colorSpaceConversion: "none", ...(isStored && { imageOrientation: "none" }) };
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes], { type: file.type }), options);
  } catch {
    throw new PhotoError(`${file.name} is no image that this browser can read, or is damaged.`);
  }
  checkSize(file, bitmap);
  return bitmap;
}

function checkSize(file, size) {
  if (size !== null && size.width * size.height > MAX_MEGAPIXELS * 1e6) {
    const megapixels = Math.ceil((size.width * size.height) / 1e6);
    throw new PhotoError(
      `${file.name} has ${megapixels} megapixels; at most ${MAX_MEGAPIXELS} are taken.`,
    );
  }
}

/** The pixels in a box of the bitmap, 3 bytes each; in strips, for phones limit a canvas's size. */
export function readPixels(bitmap, { x, y, width, height }) {
  const pixels = new Uint8Array(width * height * 3);
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = Math.min(STRIP_ROWS, height);
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  context.imageSmoothingEnabled = false;
  context.globalCompositeOperation = "copy";
  let place = 0;
  for (let row = 0; row < height; row += STRIP_ROWS) {
    const rows = Math.min(STRIP_ROWS, height - row);
    context.drawImage(bitmap, x, y + row, width, rows, 0, 0, width, rows);
    const { data } = context.getImageData(0, 0, width, rows);
    for (let from = 0; from < data.length; from += 4) {
      pixels[place++] = data[from];
      pixels[place++] = data[from + 1];
      pixels[place++] = data[from + 2];
    }
  }
  return pixels;
}

const SCAN = 0xda;
const END = 0xd9;
const EXIF = [0x45, 0x78, 0x69, 0x66, 0, 0];
const PNG = [0x89, 0x50, 0x4e, 0x47];
const ORIENTATION = 0x0112;

const startsWith = (bytes, start, at = 0) => start.every((byte, k) => bytes[at + k] === byte);
const isFrame = marker => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
const hasNoLength = marker => marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7);

/** The unsigned number of `size` bytes at `at`; bytes behind the end count as 0. */
function number(bytes, at, size, isLittleEndian = false) {
  let value = 0;
  for (let k = 0; k < size; k++) {
    value = value * 256 + (bytes[at + (isLittleEndian ? size - 1 - k : k)] ?? 0);
  }
  return value;
}

/** The size of a JPEG or PNG, else null, and where a JPEG says that it is to be turned. */
export function readHeader(bytes) {
  if (startsWith(bytes, PNG)) {
    return { size: { width: number(bytes, 16, 4), height: number(bytes, 20, 4) }, orientations: [] };
  }
  const header = { size: null, orientations: [] };
  if (!startsWith(bytes, [0xff, 0xd8, 0xff])) return header;
  for (const { marker, start, end } of segments(bytes)) {
    if (isFrame(marker)) {
      header.size = { width: number(bytes, start + 3, 2), height: number(bytes, start + 1, 2) };
    } else if (marker === 0xe1 && startsWith(bytes, EXIF, start)) {
      header.orientations.push(...orientations(bytes, start + 6, end));
    }
  }
  return header;
}

/** The segments of a JPEG before its first scan. */
function* segments(bytes) {
  let position = 2;
  while (position + 4 <= bytes.length && bytes[position] === 0xff) {
    const marker = bytes[position + 1];
    if (marker === SCAN || marker === END) return;
    if (marker === 0xff) {
      position += 1; // a fill byte
    } else if (hasNoLength(marker)) {
      position += 2;
    } else {
      const end = position + 2 + number(bytes, position + 2, 2);
      yield { marker, start: position + 4, end: Math.min(end, bytes.length) };
      position = end;
    }
  }
}

function* orientations(bytes, tiff, end) {
  const isLittleEndian = startsWith(bytes, [0x49, 0x49], tiff);
  if (!isLittleEndian && !startsWith(bytes, [0x4d, 0x4d], tiff)) return;
  const read = (at, size) => number(bytes, at, size, isLittleEndian);
  const directory = tiff + read(tiff + 4, 4);
  for (let k = 0; k < read(directory, 2); k++) {
    const entry = directory + 2 + 12 * k;
    if (entry + 12 > end) return;
    if (read(entry, 2) === ORIENTATION) yield { position: entry + 8, isLittleEndian };
  }
}

/** Lets the photo say that it is upright, so that every browser gives the pixels as stored. */
function takeOrientationBack(bytes, found) {
  for (const { position, isLittleEndian } of found) {
    bytes.set(isLittleEndian ? [1, 0] : [0, 1], position);
  }
}
