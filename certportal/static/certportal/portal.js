/* What the pages do beyond links and forms. No inline code anywhere: the policy of the portal forbids it. */
"use strict";

(() => {
  const typing = (element) => element.closest("input, textarea, select, [contenteditable]");

  // `/` leads to the search, Escape leaves it.
  document.addEventListener("keydown", (event) => {
    const box = document.getElementById("portal-search-box");
    if (!box) return;
    if (event.key === "/" && !typing(event.target) && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      box.focus();
      box.select();
    } else if (event.key === "Escape" && event.target === box) {
      box.blur();
    }
  });

  // The box over the boxes of a list of jobs has no name of its own.
  document.getElementById("action-toggle")?.setAttribute("aria-label", document.getElementById("portal-nav").dataset.wordAll);

  // Selects that stand for links.
  document.addEventListener("change", (event) => {
    if (event.target.matches("select[data-submits]")) event.target.form.submit();
  });

  // Copy buttons. Without the clipboard, which browsers give only to secure pages, the text is shown whole and selected.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const word = button.textContent;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      const code = button.parentElement.querySelector("code") ?? button.parentElement.nextElementSibling;
      code.textContent = button.dataset.copy;
      window.getSelection().selectAllChildren(code);
      return;
    }
    button.textContent = button.dataset.copied ?? "✓";
    setTimeout(() => { button.textContent = word; }, 1200);
  });

  // A menu closes when one clicks beside it.
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  // Polling rests while nobody looks, or while somebody reads or works inside the block.
  const busy = (block) =>
    block.querySelector("details[open]") || block.contains(document.activeElement) || block.matches(":hover");
  document.addEventListener("htmx:beforeRequest", (event) => {
    const block = event.target;
    if (block.matches(".block") && (document.hidden || busy(block))) event.preventDefault();
  });

  // A block that did not change is not touched: no flicker, no lost selection.
  const last = new WeakMap();
  document.addEventListener("htmx:beforeSwap", (event) => {
    const block = event.detail.target;
    if (event.detail.xhr.status >= 400 || event.detail.xhr.responseURL.includes("/login/")) {
      event.detail.shouldSwap = false;
      block.classList.add("stale");
      return;
    }
    block.classList.remove("stale");
    const text = event.detail.serverResponse;
    if (last.get(block) === text || busy(block)) event.detail.shouldSwap = false;
    else last.set(block, text);
  });
})();
