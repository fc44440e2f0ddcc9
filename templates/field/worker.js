/* Keeps a copy of the pages below /field/ for where there is no network. The network comes first: a copy is old. */
"use strict";
const PAGES = "field-pages";
const FILES = "field-files";
const STATIC = [{% for file in files %}"{{ file|escapejs }}",{% endfor %}];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(FILES).then((cache) => cache.addAll(STATIC)).then(() => self.skipWaiting()));
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const request = event.request;
  const address = new URL(request.url);
  if (request.method !== "GET" || address.origin !== self.location.origin) return;
  if (STATIC.includes(address.pathname)) {
    event.respondWith(caches.match(request, { ignoreVary: true }).then((kept) => kept ?? fetch(request)));
  } else if (!address.pathname.endsWith("/state/") && !address.pathname.endsWith(".js")) {
    event.respondWith(page(request));
  }
});

async function page(request) {
  const cache = await caches.open(PAGES);
  try {
    const answer = await fetch(request);
    // Logged out, which is all that these pages redirect for: the next person at this phone reads no copies.
    if (answer.redirected || answer.type === "opaqueredirect") await caches.delete(PAGES);
    else if (answer.ok) await cache.put(request, answer.clone());
    else if (answer.status === 404 || answer.status === 403) await cache.delete(request);
    return answer;
  } catch (error) {
    const kept = await cache.match(request, { ignoreVary: true });
    if (kept) return kept;
    throw error;
  }
}
