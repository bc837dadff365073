// Prints the crops that the page's preprocessing makes. Arguments: the folder of its scripts, and a
// file of cases in JSON, each {width, height, pixels (base64, RGB), facts, input}.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, cases] = process.argv.slice(2);
const { cropped, networkInput, planCrop } = await import(pathToFileURL(`${folder}/preprocessing.js`));

const base64 = array => Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");

const results = JSON.parse(readFileSync(cases)).map(({ width, height, pixels, facts, input }) => {
  const all = Buffer.from(pixels, "base64");
  const plan = planCrop({ width, height }, facts);
  const { box } = plan;
  const part = new Uint8Array(box.width * box.height * 3);
  for (let row = 0; row < box.height; row++) {
    const from = ((box.y + row) * width + box.x) * 3;
    part.set(all.subarray(from, from + box.width * 3), row * box.width * 3);
  }
  const crop = cropped(part, plan);
  return { crop: base64(crop), input: base64(networkInput(crop, facts, input)) };
});
console.log(JSON.stringify(results));
