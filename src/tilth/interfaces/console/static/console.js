"use strict";
// Signs in by the token in an address, and keeps a page as things are. Everything works without it.
(() => {
  const byId = id => document.getElementById(id);
  const form = document.querySelector("#sign-in form");
  if (form) {
    const fragment = new URLSearchParams(location.hash.slice(1));
    if (fragment.has("token")) {
      form.elements.token.value = fragment.get("token");
      history.replaceState(null, "", location.pathname + location.search);
      form.submit();
    }
    return;
  }
  if (location.hash.includes("token=")) history.replaceState(null, "", location.pathname + location.search);
  const choice = byId("environment");
  if (choice) choice.addEventListener("change", () => choice.form.submit());
  if (!byId("live")) return;

  const link = words => { byId("link").textContent = words; };
  const open = () => new Set([...document.querySelectorAll("details[open][id]")].map(one => one.id));

  // A part keeps its place while somebody types in it, or when it says so.
  const held = part => part.hasAttribute("data-still") || part.contains(document.activeElement) && document.activeElement !== document.body;

  function take(fresh) {
    const opened = open(), live = byId("live"), next = fresh.getElementById("live");
    for (const id of ["health", "said"]) {
      const now = fresh.getElementById(id);
      if (now && (id !== "said" || now.childElementCount)) byId(id).replaceWith(document.adoptNode(now));
    }
    const ids = one => [...one.children].map(part => part.id).join(" ");
    if (ids(live) === ids(next) && [...live.children].every(part => part.id)) {
      for (const part of [...live.children]) {
        const now = next.querySelector("#" + CSS.escape(part.id));
        if (!held(part) && part.outerHTML !== now.outerHTML) part.replaceWith(document.adoptNode(now));
      }
    } else if (![...live.children].some(held)) live.replaceWith(document.adoptNode(next));
    for (const id of opened) { const one = byId(id); if (one) one.open = true; }
    document.dispatchEvent(new CustomEvent("tilth:taken"));
  }

  let busy = false, again = false;
  async function look() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, {headers: {Accept: "text/html"}});
      if (answer.redirected) { location.assign(answer.url); return; }
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (fresh.getElementById("live")) { take(fresh); link(""); }
      else { link("not drawn: " + (fresh.querySelector(".bad") || {}).textContent); setTimeout(look, 2000); }
    } catch (error) {
      link("no answer from the server");
    } finally {
      busy = false;
      if (again) { again = false; look(); }
    }
  }

  let events = null, first = true;
  function listen() {
    if (events || document.hidden) return;
    events = new EventSource("/events");
    events.addEventListener("hello", () => { if (!first) look(); first = false; });
    events.addEventListener("moved", () => setTimeout(look, 500 * Math.random()));  // all browsers are told at once
    events.onerror = () => {
      link("no answer from the server");
      if (events && events.readyState === EventSource.CLOSED) { events = null; look(); setTimeout(listen, 2000); }
    };
    events.onopen = () => link("");
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && events) { events.close(); events = null; first = false; } else listen();
  });
  listen();
})();
