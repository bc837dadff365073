// The page: takes a photo, shows the most probable classes and the model card.

import { mostProbable } from "./guesses.js";
import { PhotoError, decoded, readPixels } from "./photo.js";
import { cropped, networkInput, planCrop } from "./preprocessing.js";

const element = id => document.getElementById(id);

function say(text, isBad = false) {
  element("status").textContent = text;
  element("status").classList.toggle("bad", isBad);
}

const percent = probability => `${(100 * probability).toFixed(1)} %`;

/** A new element; text stays text, whatever it holds. */
function made(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

async function fetched(url, integrity = "") {
  // Revalidated, so that a page that was exported again is not mixed with its former files.
  const response = await fetch(url, { integrity, cache: integrity ? "default" : "no-cache" });
  if (!response.ok) throw new Error(`${url}: the server answers ${response.status}`);
  return response;
}

const bytesOf = async (...source) => new Uint8Array(await (await fetched(...source)).arrayBuffer());

async function openNetwork({ runtime, file }) {
  const [ort, wasm, network] = await Promise.all([
    import(new URL(runtime.module, document.baseURI).href), // index.html has its digest
    bytesOf(runtime.wasm, runtime.wasm_integrity),
    bytesOf(file),
  ]);
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = 1; // several need headers that a plain file server does not send
  ort.env.wasm.wasmBinary = wasm;
  const session = await ort.InferenceSession.create(network, { executionProviders: ["wasm"] });
  return async (data, input) => {
    const dims = [input.batch, 3, input.height, input.width];
    const feeds = { [session.inputNames[0]]: new ort.Tensor(input.type, data, dims) };
    return (await session.run(feeds))[session.outputNames[0]].data;
  };
}

function showCard({ title, card, file, file_name: name }) {
  document.title = title;
  element("title").textContent = title;
  for (const [label, text] of card) {
    element("card").append(made("dt", "", label), made("dd", "", text));
  }
  const link = made("a", "", name);
  link.href = file;
  link.download = name;
  const place = made("dd", "");
  place.append(link);
  element("card").append(made("dt", "", "Download"), place);
}

function showCrop(crop, { width, height }) {
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    image.data.set(crop.subarray(3 * pixel, 3 * pixel + 3), 4 * pixel);
    image.data[4 * pixel + 3] = 255;
  }
  const canvas = element("crop");
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function showGuesses(guesses) {
  const items = guesses.map(([name, probability]) => {
    const item = made("li", "");
    const track = made("div", "track");
    const bar = made("div", "bar");
    track.setAttribute("aria-hidden", "true");
    bar.style.width = percent(probability).replace(" ", "");
    track.append(bar);
    item.append(made("span", "name", name), made("span", "percent", percent(probability)), track);
    item.dataset.probability = probability;
    return item;
  });
  element("answers").replaceChildren(...items);
}

let newest = 0; // of several photos in a row, only the last one is shown

async function show(file, ready) {
  const turn = ++newest;
  try {
    say(`Looking at ${file.name} …`);
    const { facts, run } = await ready;
    const { preprocessing, input, output, classes } = facts;
    const start = performance.now();
    const bitmap = await decoded(file, preprocessing.exif_orientation);
    const plan = planCrop({ width: bitmap.width, height: bitmap.height }, preprocessing);
    const crop = cropped(readPixels(bitmap, plan.box), plan);
    bitmap.close();
    const data = networkInput(crop, preprocessing, input);
    const middle = performance.now();
    const outputs = (await run(data, { ...input, ...plan })).subarray(0, classes.length);
    const end = performance.now();
    if (turn !== newest) return;
    const guesses = mostProbable(outputs, output).map(([label, p]) => [classes[label], p]);
    showCrop(crop, plan);
    showGuesses(guesses);
    const [preparing, computing] = [middle - start, end - middle].map(Math.round);
    element("latency").textContent =
      `${preparing} ms to decode and prepare the photo, ${computing} ms to compute the network`;
    element("result").hidden = false;
    element("result").scrollIntoView({ block: "nearest" });
    say(`${file.name}: ${guesses[0][0]}, ${percent(guesses[0][1])}`);
  } catch (error) {
    if (turn === newest) fail(error);
  }
}

function fail(error) {
  element("result").hidden = true;
  say(error instanceof PhotoError ? error.message : `It did not work: ${error.message}`, true);
}

function listen(ready) {
  const take = files => files.length > 0 && show(files[0], ready);
  for (const input of [element("choose"), element("take")]) {
    input.addEventListener("change", () => {
      take([...input.files]);
      input.value = ""; // so that the same photo can be chosen again
    });
  }
  addEventListener("dragover", event => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  for (const kind of ["dragleave", "drop"]) {
    addEventListener(kind, () => document.body.classList.remove("dragging"));
  }
  addEventListener("drop", event => {
    event.preventDefault();
    take(event.dataTransfer.files);
  });
  addEventListener("paste", event => take(event.clipboardData.files));
}

/** Keeps the page's files for the time without a network, where the browser allows that. */
async function keepForOffline() {
  if (!navigator.serviceWorker) return; // as on plain http, but for localhost
  await navigator.serviceWorker.register("offline.js");
  await navigator.serviceWorker.ready;
  element("offline").textContent = "This page is kept in the browser and also works offline.";
}

async function load() {
  say("Loading the network …");
  const facts = await (await fetched("model.json")).json();
  showCard(facts);
  const run = await openNetwork(facts);
  if (newest === 0) say("Ready: choose a photo.");
  return { facts, run };
}

const ready = load();
listen(ready);
ready.then(keepForOffline, error => {
  say(`The page cannot be loaded: ${error.message}. Load it again.`, true);
}).catch(() => {}); // without the worker the page works all the same, while there is a network
