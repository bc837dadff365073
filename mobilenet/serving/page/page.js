// The page of the server: posts a photo to /predict, and shows the most probable classes.

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

function item({ name, probability }) {
  const track = made("div", "track");
  const bar = made("div", "bar");
  track.setAttribute("aria-hidden", "true");
  bar.style.width = percent(probability).replace(" ", "");
  track.append(bar);
  const node = made("li", "");
  node.dataset.probability = probability;
  node.append(made("span", "name", name), made("span", "percent", percent(probability)), track);
  return node;
}

async function answerFor(file) {
  const response = await fetch("predict", { method: "POST", body: file });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer.guesses;
}

let newest = 0; // of several photos in a row, only the last one is shown

async function show(file) {
  const turn = ++newest;
  say(`Looking at ${file.name} …`);
  const start = performance.now();
  try {
    const guesses = await answerFor(file);
    if (turn !== newest) return;
    URL.revokeObjectURL(element("crop").src);
    element("crop").src = URL.createObjectURL(file);
    element("answers").replaceChildren(...guesses.map(item));
    const milliseconds = Math.round(performance.now() - start);
    element("latency").textContent = `${milliseconds} ms to send the photo and get the answer`;
    element("result").hidden = false;
    say(`${file.name}: ${guesses[0].name}, ${percent(guesses[0].probability)}`);
  } catch (error) {
    if (turn !== newest) return;
    element("result").hidden = true;
    say(`It did not work: ${error.message}`, true);
  }
}

const take = files => files.length > 0 && show(files[0]);
element("choose").addEventListener("change", event => {
  take([...event.target.files]);
  event.target.value = ""; // so that the same photo can be chosen again
});
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
