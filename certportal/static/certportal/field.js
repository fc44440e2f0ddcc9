/* The pages for field teams without a network: a copy of the orders, and outcomes that wait until they can be sent. */
"use strict";

(() => {
  const QUEUE = "certportal.field.outcomes";
  const body = document.body;
  const words = body.dataset;
  const waiting = () => JSON.parse(localStorage.getItem(QUEUE) ?? "[]");
  const keep = (queue) => localStorage.setItem(QUEUE, JSON.stringify(queue));

  const say = (text) => {
    const line = document.getElementById("line");
    line.textContent = text;
    line.hidden = !text;
  };

  const show = () => {
    const queue = waiting();
    for (const link of document.querySelectorAll("[data-order]")) {
      link.classList.toggle("waits", queue.some((each) => each.order === link.dataset.order));
    }
    const lines = queue.map((each) => `${each.device}: ${each.word}, ${each.problem ?? words.wordWaiting}`);
    if (!navigator.onLine) lines.unshift(words.wordOffline);
    say(lines.join("\n"));
  };

  const token = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";

  // Each has a key of its own: the portal counts it once, however often it is sent.
  const send = async (each) => {
    const answer = await fetch(each.action, {
      method: "POST",
      headers: { "Accept": "application/json", "X-CSRFToken": token(), "Content-Type": "application/x-www-form-urlencoded" },
      body: each.body,
      redirect: "manual",
    });
    if (answer.ok) return {};
    if (answer.status === 409) return { problem: (await answer.json()).problem };
    // Logged out, or the portal is in trouble: it is sent later.
    throw new Error(String(answer.status));
  };

  let sending = false;
  const sendAll = async () => {
    if (sending) return;
    sending = true;
    let sent = false;
    try {
      for (const each of waiting()) {
        if (each.problem) continue;
        const { problem } = await send(each);
        const rest = waiting().filter((other) => other.key !== each.key);
        keep(problem ? [...rest, { ...each, problem }] : rest);
        sent = true;
      }
    } catch {
      // It waits.
    } finally {
      sending = false;
    }
    show();
    if (sent) location.reload();
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.dataset.keep) return;
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    const data = new URLSearchParams(new FormData(form));
    data.delete("csrfmiddlewaretoken");
    const key = data.get("key");
    const each = {
      key, order: form.dataset.keep, action: form.action, body: data.toString(),
      device: document.querySelector("h1").textContent, word: form.closest("details").querySelector("summary").textContent,
    };
    // Kept before it is sent: a phone that dies meanwhile sends it when it wakes.
    keep([...waiting().filter((other) => other.key !== key && other.order !== each.order), each]);
    await sendAll();
    button.disabled = false;
  });

  // A refusal was read: it need not be shown again.
  document.getElementById("line")?.addEventListener("click", () => {
    keep(waiting().filter((each) => !each.problem));
    show();
  });

  addEventListener("online", sendAll);
  addEventListener("offline", show);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) sendAll(); });

  // Polling rests while nobody looks.
  document.addEventListener("htmx:beforeRequest", (event) => { if (document.hidden) event.preventDefault(); });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status >= 400 || event.detail.xhr.responseURL.includes("/login/")) event.detail.shouldSwap = false;
  });

  const copy = async () => {
    const worker = navigator.serviceWorker;
    if (!worker.controller) await new Promise((go) => worker.addEventListener("controllerchange", go, { once: true }));
    let copied = 0;
    try {
      // This page came before the worker did.
      await fetch(location.href);
      for (const link of document.querySelectorAll("[data-order]")) copied += (await fetch(link.href)).ok;
    } catch {
      // The network went: what came before is there.
    }
    const note = document.getElementById("copied");
    if (note && copied) {
      note.textContent = `${copied} ${words.wordCopied}`;
      note.hidden = false;
    }
  };

  // Browsers give service workers to secure pages only; elsewhere there is no copy, and outcomes still wait.
  if ("serviceWorker" in navigator) {
    navigator.serviceWorker.register(words.worker, { scope: words.list }).then(() => navigator.serviceWorker.ready)
      .then(() => { if (document.querySelector("[data-order]")) return copy(); });
  }
  show();
  sendAll();
})();
