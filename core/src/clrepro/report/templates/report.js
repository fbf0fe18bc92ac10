"use strict";
// Enhancements only: without this file every page can be read in full.
document.documentElement.classList.add("js");

const all = (what, where = document) => [...where.querySelectorAll(what)];

// Rows that fold out.
function fold(row, open) {
  row.classList.toggle("open", open);
  row.querySelector(".more").setAttribute("aria-expanded", open);
}

// Tables: every row is a tbody, so that its details move and hide with it.
const key = cell => cell.dataset.value ?? cell.textContent.trim();
const number = text => text === "" || text === "–" ? NaN : Number(text);

function sort(table, heads, i) {
  const down = heads[i].getAttribute("aria-sort") === "ascending", sign = down ? -1 : 1;
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[i].setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...table.tBodies].map(body => [key(body.rows[0].cells[i]), body]);
  const numeric = rows.some(([text]) => !isNaN(number(text)));
  rows.sort(([a], [b]) => {
    if (!numeric) return sign * a.localeCompare(b, "en", {numeric: true});
    const [x, y] = [number(a), number(b)];
    if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);  // empty cells last, both ways
    return sign * (x - y);
  });
  table.append(...rows.map(([, body]) => body));
}

function filter(tools) {
  const rows = [...document.getElementById(tools.dataset.for).tBodies];
  const texts = rows.map(body => body.rows[0].textContent.toLowerCase());
  const input = tools.querySelector("input"), chips = all("[data-word]", tools);
  const update = () => {
    const words = input.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
    const verdicts = chips.filter(chip => chip.getAttribute("aria-pressed") === "true").map(chip => chip.dataset.word);
    let shown = 0;
    rows.forEach((body, i) => {
      const own = (body.dataset.words ?? "").split("|");
      const fits = !verdicts.length || verdicts.some(verdict => own.includes(verdict));
      body.hidden = !(fits && words.every(word => texts[i].includes(word)));
      shown += !body.hidden;
    });
    tools.querySelector("output").textContent = shown < rows.length ? `${shown} of ${rows.length} rows` : "";
  };
  input.addEventListener("input", update);
  for (const button of all("[aria-pressed]", tools))
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", pressed);
      if ("all" in button.dataset) rows.forEach(body => fold(body, pressed));
      else update();
    });
  update();  // a reloaded page may keep what was typed
}

// Commands: copied where the browser lets us, else selected, so that Ctrl-C copies them.
async function copy(button) {
  const code = button.previousElementSibling;
  let done = false;
  try { await navigator.clipboard.writeText(code.textContent); done = true; }
  catch {
    getSelection().selectAllChildren(code);
    try { done = document.execCommand("copy"); } catch { /* selected is what is left */ }
  }
  button.textContent = done ? "Copied" : "Selected";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

// A link to a row shows it, whatever the filter says.
function reveal() {
  const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!row?.matches("tbody.row")) return;
  row.hidden = false;
  if (row.querySelector(".more")) fold(row, true);
  row.scrollIntoView({block: "center"});
}

addEventListener("DOMContentLoaded", () => {
  for (const button of all(".more")) {
    const row = button.closest("tbody");
    button.addEventListener("click", () => fold(row, !row.classList.contains("open")));
  }
  for (const table of all("table.results")) {
    const heads = [...(table.tHead.querySelector(".sort")?.cells ?? [])];
    heads.forEach((head, i) => head.querySelector("button")?.addEventListener("click", () => sort(table, heads, i)));
  }
  all(".tools").forEach(filter);
  for (const button of all("[data-copy]")) button.addEventListener("click", () => copy(button));
  reveal();
});
addEventListener("hashchange", reveal);

// Paper shows what is folded away on the screen, but for the details of rows.
const folded = [];
addEventListener("beforeprint", () => {
  for (const one of all("details:not([open])")) { one.open = true; folded.push(one); }
});
addEventListener("afterprint", () => { for (const one of folded.splice(0)) one.open = false; });
