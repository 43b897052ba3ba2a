"use strict";
// The SQL page: runs statements by POST /sql as their rows come, completes names, draws a result, and lists what was asked.
(() => {
  const byId = id => document.getElementById(id), key = document.querySelector("meta[name=key]").content;
  const sql = byId("sql"), form = byId("ask"), offers = byId("offers"), answer = byId("answer"), drawn = byId("drawn");
  const known = JSON.parse(byId("words").dataset.words), environment = form.elements.environment.value;
  const SHOWN = 1000, READ = 100000, CELL = 300;
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const say = (words, kind = "soft") => { byId("asked").textContent = words; byId("asked").className = kind; };
  const ask = (path, body, more = {}) => fetch(path, {
    method: "POST", body: JSON.stringify(body), ...more,
    headers: {"Content-Type": "application/json", "X-Tilth-Key": key, ...more.headers},
  });

  // Whole numbers that scripts have no room for stay as they were written, where the browser tells how that was.
  const whole = (_, value, context) => typeof value === "number" && context && !Number.isSafeInteger(value) && /^-?\d+$/.test(context.source) ? context.source : value;

  // --- rows as they come: one JSON array of a row after the other is cut out of the text ---------------------
  class Rows {
    constructor() { this.text = ""; this.place = 0; this.columns = null; this.depth = 0; this.quoted = false; this.begin = -1; this.over = false; }
    take(more) {
      this.text += more;
      if (!this.columns) {
        const end = this.text.indexOf('],"rows":[');
        if (end < 0) return [];
        this.columns = JSON.parse(this.text.slice('{"columns":'.length, end + 1));
        this.place = end + '],"rows":['.length;
      }
      const rows = [];
      for (; !this.over && this.place < this.text.length; this.place++) {
        const c = this.text[this.place];
        if (this.quoted) { if (c === "\\") this.place++; else if (c === '"') this.quoted = false; }
        else if (c === '"') this.quoted = true;
        else if (c === "[" || c === "{") { if (!this.depth++) this.begin = this.place; }
        else if (c === "]" || c === "}") {
          if (!this.depth) { this.over = true; break; }
          if (!--this.depth) rows.push(parsed(this.text.slice(this.begin, this.place + 1)));
        }
      }
      if (!this.depth && !this.over) { this.text = this.text.slice(this.place); this.place = 0; }
      return rows;
    }
    rest() { return JSON.parse('{"rows":[' + this.text.slice(this.place)); }
  }

  function parsed(text) { return /\d{16}/.test(text) ? JSON.parse(text, whole) : JSON.parse(text); }
  const cell = value => {
    if (value === null || value === undefined) return make("span", {class: "soft"}, "NULL");
    const said = typeof value === "object" ? JSON.stringify(value) : String(value);
    return make("span", {}, said.length > CELL ? `${said.slice(0, CELL)} … and ${(said.length - CELL).toLocaleString("en")} characters more` : said);
  };

  let result = null, stopping = null;
  function begin(columns) {
    const body = make("tbody");
    answer.replaceChildren(make("div", {class: "wide"}, make("table", {}, make("thead", {}, make("tr", {}, ...columns.map(c => make("th", {title: c.type}, c.name)))), body)));
    result = {columns, rows: [], body};
  }
  function add(rows) {
    for (const row of rows) {
      if (result.rows.length < READ) result.rows.push(row);
      if (result.rows.length <= SHOWN) result.body.append(make("tr", {}, ...row.map((value, i) =>
        make("td", {"data-head": result.columns[i].name, ...(typeof value === "number" ? {class: "number"} : {})}, cell(value)))));
    }
  }

  // --- an error: under the word ------------------------------------------------------------------------------
  function wrong(error, text) {
    const parts = [make("p", {class: "bad"}, error.title || error.message || "The statement failed.")];
    const [line, column] = (String(error.where || "").match(/:(\d+):(\d+)$/) || []).slice(1).map(Number);
    if (line) {
      const row = text.split("\n")[line - 1] || "", before = Math.max(0, (column || 1) - 1);
      const word = (/^\w+|^./.exec(row.slice(before)) || [""])[0];
      parts.push(make("pre", {}, row + "\n" + " ".repeat(before) + "^".repeat(Math.max(1, word.length))));
      const start = text.split("\n").slice(0, line - 1).reduce((n, one) => n + one.length + 1, 0) + before;
      sql.focus();
      sql.setSelectionRange(start, start + word.length);
    }
    for (const words of [error.detail, error.hint].filter((w, i, all) => w && all.indexOf(w) === i)) parts.push(make("p", {}, ...[words].flat().map(String)));
    answer.replaceChildren(...parts);
  }

  const chosen = () => sql.selectionStart === sql.selectionEnd ? sql.value : sql.value.slice(sql.selectionStart, sql.selectionEnd);
  async function run() {
    const text = chosen();
    if (!text.trim() || stopping) return;
    stopping = new AbortController();
    byId("cancel").hidden = false;
    byId("csv").hidden = byId("parquet").hidden = true;
    drawn.replaceChildren();
    result = null;
    answer.replaceChildren();
    const began = performance.now(), took = () => `${((performance.now() - began) / 1000).toFixed(2)} s`;
    const clock = setInterval(() => say(`${result ? result.rows.length.toLocaleString("en") + " rows, " : ""}${took()}`), 200);
    try {
      const found = await ask("/sql", {sql: text, environment}, {signal: stopping.signal, headers: {Accept: "application/json"}});
      if (!found.ok) { wrong(await found.json(), text); say(`failed after ${took()}`, "bad"); return; }
      const rows = new Rows(), reader = found.body.pipeThrough(new TextDecoderStream()).getReader();
      let cut = false;
      for (;;) {
        const {done, value} = await reader.read();
        if (done) break;
        const fresh = rows.take(value);
        if (rows.columns && !result) begin(rows.columns);
        if (result) add(fresh);
        if (result && result.rows.length >= READ) { cut = true; stopping.abort(); break; }
      }
      const rest = cut ? {} : rows.rest();
      if (result && result.columns.length) {
        const many = result.rows.length.toLocaleString("en");
        say(`${cut ? "more than " : ""}${many} ${result.rows.length === 1 && !cut ? "row" : "rows"} in ${took()}${result.rows.length > SHOWN ? `; the first ${SHOWN.toLocaleString("en")} are shown` : ""}${cut ? "; a download has all" : ""}`);
        byId("csv").hidden = byId("parquet").hidden = false;
        result.text = text;
        charting();
      } else { answer.replaceChildren(); say(`done in ${took()}`, rest.refused ? "bad" : "good"); }
      for (const words of [rest.text, ...(rest.notices || [])].filter(Boolean)) answer.append(make("p", rest.refused ? {class: "bad"} : {}, words));
    } catch (error) {
      if (error.name === "AbortError") say(`cancelled after ${took()}`, "warn");
      else { say(`no whole answer: ${error.message}`, "bad"); if (!result) answer.replaceChildren(make("p", {class: "bad"}, "The server broke the answer off. Its log says why.")); }
    } finally {
      clearInterval(clock);
      stopping = null;
      byId("cancel").hidden = true;
      setTimeout(listed, 1500);  // statements are noted a little later
    }
  }
  form.addEventListener("submit", event => { event.preventDefault(); run(); });
  byId("cancel").addEventListener("click", () => stopping && stopping.abort());

  // --- downloads ---------------------------------------------------------------------------------------------
  async function download(kind, ending) {
    if (!result) return;
    say("reading all rows ...");
    try {
      const found = await ask("/sql", {sql: result.text, environment}, {headers: {Accept: kind}});
      if (!found.ok) { wrong(await found.json(), result.text); say("failed", "bad"); return; }
      const url = URL.createObjectURL(await found.blob());
      make("a", {href: url, download: `result.${ending}`}).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
      say("downloaded", "good");
    } catch (error) { say(`no whole file: ${error.message}`, "bad"); }
  }
  byId("csv").addEventListener("click", () => download("text/csv", "csv"));
  byId("parquet").addEventListener("click", () => download("application/vnd.apache.parquet", "parquet"));

  // --- a chart of the result -----------------------------------------------------------------------------------
  function charting() {
    const numbers = result.columns.map((c, i) => i).filter(i => result.rows.some(row => typeof row[i] === "number"));
    if (!numbers.length || result.rows.length < 2) return;
    const select = (label, ids, at) => {
      const one = make("select", {"aria-label": label}, ...ids.map(i => make("option", {value: i}, result.columns[i].name)));
      if (at !== undefined) one.value = at;
      return one;
    };
    const all = result.columns.map((c, i) => i), x = select("along", all, all.find(i => !numbers.includes(i)) ?? all[0]);
    const y = select("up", numbers, numbers.find(i => String(i) !== x.value) ?? numbers[0]);
    const picture = make("div", {class: "charts"}), button = make("button", {type: "button", class: "plain"}, "Draw");
    button.addEventListener("click", async () => {
      const rows = result.rows.slice(0, 2000), names = [x, y].map(s => result.columns[+s.value].name);
      const found = await ask("/query/chart", {x: rows.map(r => r[+x.value]), y: [rows.map(r => typeof r[+y.value] === "number" ? r[+y.value] : null)], names});
      if (!found.ok) { const error = (await found.json()).error; picture.replaceChildren(make("p", {class: "bad"}, `${error.message} ${error.hint || ""}`)); return; }
      const svg = new DOMParser().parseFromString(await found.text(), "text/html").querySelector("svg");
      picture.replaceChildren(make("figure", {}, document.adoptNode(svg), ...(result.rows.length > 2000 ? [make("figcaption", {}, "Of the first 2,000 rows.")] : [])));
    });
    drawn.replaceChildren(make("p", {class: "inline"}, "Chart of ", y, " by ", x, button), picture);
  }

  // --- completion ----------------------------------------------------------------------------------------------
  const tables = Object.keys(known.relations);
  let at = -1;
  function wordsAt() {
    const before = sql.value.slice(0, sql.selectionStart), word = (/[\w.]*$/.exec(before) || [""])[0];
    const named = tables.filter(t => new RegExp(`\\b${t.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}\\b`, "i").test(sql.value));
    const dot = word.lastIndexOf("."), owner = dot > 0 ? word.slice(0, dot) : "";
    const alias = owner && new RegExp(`([\\w.]+)\\s+(?:AS\\s+)?${owner.replace(/\W/g, "")}\\b`, "i").exec(sql.value);
    const of = owner && (known.relations[owner] || alias && known.relations[alias[1]]);
    if (of) return {word: word.slice(dot + 1), found: of};
    const columns = [...new Set(named.flatMap(t => known.relations[t]))];
    return {word, found: word.length ? [...columns, ...tables, ...known.keywords] : [...columns, ...tables]};
  }
  function offer(always) {
    const {word, found} = wordsAt();
    const wanted = word.toLowerCase(), fits = [...new Set(found)].filter(w => w.toLowerCase().startsWith(wanted) && w.toLowerCase() !== wanted).slice(0, 12);
    if (!fits.length || (!always && word.length < 2)) { offers.hidden = true; return; }
    at = 0;
    offers.replaceChildren(...fits.map((w, i) => {
      const one = make("li", {role: "option", ...(i ? {} : {"aria-selected": "true"})}, w);
      one.addEventListener("mousedown", event => { event.preventDefault(); accept(w); });
      return one;
    }));
    offers.hidden = false;
  }
  function accept(word) {
    const place = sql.selectionStart, held = wordsAt().word;
    sql.setRangeText(word, place - held.length, place, "end");
    offers.hidden = true;
    sql.focus();
  }
  sql.addEventListener("input", () => offer(false));
  sql.addEventListener("blur", () => { offers.hidden = true; });
  sql.addEventListener("keydown", event => {
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") { event.preventDefault(); offers.hidden = true; run(); return; }
    if (event.ctrlKey && event.key === " ") { event.preventDefault(); offer(true); return; }
    if (offers.hidden) return;
    const all = [...offers.children];
    if (event.key === "Escape") { offers.hidden = true; event.preventDefault(); }
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      all[at].removeAttribute("aria-selected");
      at = (at + (event.key === "ArrowDown" ? 1 : all.length - 1)) % all.length;
      all[at].setAttribute("aria-selected", "true");
      event.preventDefault();
    } else if (event.key === "Tab") { accept(all[at].textContent); event.preventDefault(); }
  });

  // --- what was asked ------------------------------------------------------------------------------------------
  async function listed() {
    try {
      const found = await fetch("/query/history", {headers: {"X-Tilth-Key": key}});
      if (!found.ok) return;
      const rows = await found.json();
      byId("before").replaceChildren(...(rows.length ? [make("ul", {class: "plain"}, ...rows.map(one => {
        const again = make("a", {href: "?" + new URLSearchParams({sql: one.text, environment: one.environment})}, one.text.length > 200 ? one.text.slice(0, 200) + " …" : one.text);
        const how = one.status === "done" ? `${one.rows === null ? "" : one.rows.toLocaleString("en") + " rows, "}${one.seconds.toFixed(2)} s` : `${one.status} ${one.code || ""}`;
        return make("li", {}, make("span", {class: "soft"}, `${one.at.slice(0, 16).replace("T", " ")} `), make("code", {}, again), make("span", {class: one.status === "done" ? "soft" : "bad"}, ` ${how}`));
      }))] : [make("p", {class: "soft"}, "Nothing yet.")]));
    } catch (error) { /* the page says that there is no answer */ }
  }
  listed();
})();
