// Service worker: keeps the files of the page, so that it opens without a network.

const VERSION = "{{version}}"; // another one for other files
const FILES = {{files}}; // pairs of an address and its digest

const PREFIX = `mobilenet ${registration.scope} `;
const NAME = PREFIX + VERSION;

async function keep() {
  const cache = await caches.open(NAME);
  const wanted = FILES.map(([url, integrity]) => new Request(url, { integrity, cache: "no-cache" }));
  await cache.addAll(wanted);
  await skipWaiting(); // else a page that was exported again would wait until all tabs are closed
}

async function forgetOthers() {
  const names = await caches.keys();
  const old = names.filter(name => name.startsWith(PREFIX) && name !== NAME);
  await Promise.all(old.map(name => caches.delete(name)));
}

async function answer(request) {
  const url = new URL(request.url);
  const isPage = request.mode === "navigate" && url.pathname.endsWith("/index.html");
  const kept = await caches.match(isPage ? registration.scope : request, {
    cacheName: NAME,
    ignoreSearch: true,
  });
  return kept ?? fetch(request);
}

addEventListener("install", event => event.waitUntil(keep()));
addEventListener("activate", event => event.waitUntil(forgetOthers()));
addEventListener("fetch", event => event.respondWith(answer(event.request)));
