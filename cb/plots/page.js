"use strict";
// Tables that are sorted, filtered and unfolded, and the charts beside them.
// A row and the points or lines of charts that belong to it share a name.
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const make = (tag, properties = {}, ...inside) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...inside);
  return element;
};
const MOST_ROWS = 25;
const BUTTONS = [
  ["toImage"], ["select2d", "zoom2d", "pan2d"], ["autoScale2d"]];
const off = new Set(), hot = new Set();
let brushed = null, charts = [], shown = new Set(), waiting = 0;

const inflate = async name => {
  const text = document.getElementById(name).textContent;
  const bytes = Uint8Array.from(atob(text), one => one.charCodeAt(0));
  const stream = new Blob([bytes]).stream();
  const open = stream.pipeThrough(new DecompressionStream("gzip"));
  return new Response(open).text();
};

// Tables.

const key = (row, place) => row.cells[place].dataset.value ?? "";

const compare = (a, b) => {
  if (a === "" || b === "") return (a === "") - (b === "");
  const difference = a - b;
  return isNaN(difference) ? a.localeCompare(b) : difference;
};

function sort(head) {
  const table = head.closest("table"), body = table.tBodies[0];
  const down = head.getAttribute("aria-sort") === "ascending";
  all("th", table.tHead).forEach(one => one.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  fold(body);
  const place = head.cellIndex;
  [...body.rows].sort((one, other) => {
    const a = key(one, place), b = key(other, place), order = compare(a, b);
    // What is not known stays last.
    return down && a !== "" && b !== "" ? -order : order;
  }).forEach(row => body.append(row));
  refresh();
}

const fold = from => all("tr.details", from).forEach(row => row.remove());

function unfold(row) {
  if (row.nextElementSibling?.className === "details") {
    return row.nextElementSibling.remove();
  }
  const list = make("dl");
  for (const [name, value] of JSON.parse(row.dataset.details || "[]")) {
    const text = name === "command" ? make("code", {}, value) : value;
    list.append(make("dt", {}, name), make("dd", {}, text));
  }
  const cell = make("td", {colSpan: row.cells.length}, list);
  row.after(make("tr", {className: "details"}, cell));
}

// Words that a row must have; `name<number`, `name>number`, `name=text` speak
// of a column, and "-" before either wants the opposite.
function matcher(text, heads, say) {
  const wanted = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const tests = wanted.map(word => {
    const not = word.length > 1 && word[0] === "-";
    const [, name, sign, value] =
      word.slice(+not).match(/^([^<>=]+)([<>=])(.+)$/) ?? [];
    if (!name) {
      const part = word.slice(+not);
      return row => row.textContent.toLowerCase().includes(part) !== not;
    }
    let place = heads.indexOf(name);
    if (place < 0) place = heads.findIndex(head => head.includes(name));
    if (place < 0) say.push(`no column “${name}”`);
    return row => {
      const found = place < 0 ? "" : key(row, place).toLowerCase();
      if (found === "") return not;
      const order = compare(found, value);
      const holds = sign === "=" ? order === 0 : sign === "<" ? order < 0
        : order > 0;
      return holds !== not;
    };
  });
  return row => tests.every(test => test(row));
}

function refresh() {
  const before = shown;
  shown = new Set();
  for (const table of all("table[data-items]")) {
    const tools = table.parentElement.previousElementSibling, say = [];
    const heads = all("th", table.tHead).map(
      head => head.textContent.toLowerCase());
    const matches = matcher(all("input", tools)[0].value, heads, say);
    let found = 0;
    const rows = all("tr[data-item]", table), more = all(".more", tools)[0];
    fold(table);
    for (const row of rows) {
      const item = row.dataset.item;
      const fits = matches(row) && (!brushed || brushed.has(item));
      if (fits && !off.has(item)) shown.add(item);
      found += fits;
      row.hidden = !fits || found > MOST_ROWS && !more.dataset.all;
      row.classList.toggle("off", off.has(item));
    }
    if (found < rows.length) say.unshift(`${found} of ${rows.length}`);
    if (brushed) say.push("selected in a chart (double click ends it)");
    all("output", tools)[0].textContent = say.join(", ");
    more.hidden = found <= MOST_ROWS;
    more.textContent = more.dataset.all ? `Show ${MOST_ROWS}`
      : `Show all ${found}`;
  }
  if (before.size !== shown.size || [...shown].some(one => !before.has(one))) {
    clearTimeout(waiting);
    waiting = setTimeout(() => charts.forEach(dim), 150);
  }
}

// Charts.

const owner = (trace, point) =>
  Array.isArray(trace.items) ? trace.items[point] : trace.items;

function dim(div) {
  const whole = shown.size === all("tr[data-item]").length;
  const visible = div.data.map(({items}, place) => !div.gone.has(place) &&
    (!items || Array.isArray(items) || shown.has(items)));
  const selected = div.data.map(({items}) => whole || !Array.isArray(items)
    ? null : items.flatMap((item, n) => shown.has(item) ? [n] : []));
  Plotly.restyle(div, {visible, selectedpoints: selected});
}

function point(item, on) {
  all(`tr[data-item="${CSS.escape(item)}"]`).forEach(
    row => row.classList.toggle("hot", on));
}

function pick(item) {
  for (const div of charts) {
    const box = div.getBoundingClientRect();
    if (box.bottom < 0 || box.top > innerHeight) continue;
    const found = [];
    div.data.forEach(({items, visible, x}, curveNumber) => {
      const many = Array.isArray(items);
      const place = many ? items.lastIndexOf(item)
        : items === item ? x.length - 1 : -1;
      if (place >= 0 && visible !== false && div.calcdata) {
        found.push({curveNumber, pointNumber: place});
      }
    });
    Plotly.Fx.hover(div, found.slice(-1));
  }
}

function legend(div, keys) {
  const list = make("div", {className: "keys"});
  for (const {label, color, dash, traces} of keys) {
    const button = make("button", {title: "Click to hide or show"});
    button.innerHTML = swatch(color, dash);
    button.append(label);
    button.onclick = () => {
      const gone = button.classList.toggle("off");
      for (const place of traces) gone ? div.gone.add(place)
        : div.gone.delete(place);
      dim(div);
    };
    list.append(button);
  }
  div.after(list);
}

const swatch = (color, dash) => {
  const gaps = {solid: "none", dash: "6 3", dot: "2 2"}[dash];
  return `<svg class="look" viewBox="0 0 26 10"><path d="M0 5H26"
    stroke="${color}" stroke-width="3" stroke-dasharray="${gaps}"/></svg>`;
};

async function draw() {
  const script = make("script");
  const [code, text] = await Promise.all(["plotly", "data"].map(inflate));
  script.textContent = code;
  document.head.append(script);
  const {items, figures} = JSON.parse(text);
  all("div.chart").forEach((div, place) => {
    const {data, layout, keys} = figures[place];
    div.gone = new Set();
    for (const trace of data) {
      if (trace.hoverinfo || trace.type === "bar") continue;
      const own = Array.isArray(trace.items) ? trace.items
        : trace.x.map(() => trace.items);
      trace.hovertext = own.map(item => items[item] ?? item);
      trace.hovertemplate = layout.hovers
        ? "%{hovertext}<extra></extra>"
        : "%{hovertext}<br>%{x:,.5~g}: %{y:.5~g}<extra></extra>";
    }
    // A finger that moves over a chart scrolls the page.
    if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;
    Plotly.newPlot(div, data, layout,
      {responsive: true, displaylogo: false, modeBarButtons: BUTTONS,
        displayModeBar: matchMedia("(hover: hover)").matches && "hover"});
    charts.push(div);
    if (keys.length > 1) legend(div, keys);
    const each = event => event.points.map(
      one => owner(one.data, one.pointNumber)).filter(Boolean);
    div.on("plotly_hover", event => each(event).forEach(i => point(i, true)));
    div.on("plotly_unhover", event => each(event).forEach(
      item => point(item, false)));
    div.on("plotly_click", event => {
      const row = each(event).flatMap(
        item => all(`tr[data-item="${CSS.escape(item)}"]`))[0];
      if (!row) return;
      row.hidden = false;
      row.scrollIntoView({block: "center"});
      unfold(row);
    });
    div.on("plotly_selected", event => {
      if (!event) return;
      brushed = new Set(each(event));
      if (!brushed.size) brushed = null;
      refresh();
    });
    div.on("plotly_deselect", () => { brushed = null; refresh(); });
  });
  document.body.dataset.drawn = "1";
}

for (const head of all("thead th")) {
  head.tabIndex = 0;
  head.onclick = () => sort(head);
  head.onkeydown = event => { if (event.key === "Enter") sort(head); };
}
for (const row of all("tr[data-item]")) {
  row.cells[0].onclick = () => unfold(row);
  row.onmouseenter = () => pick(row.dataset.item);
}
for (const box of all("button.swatch")) {
  box.onclick = event => {
    event.stopPropagation();
    const item = box.closest("tr").dataset.item;
    off.has(item) ? off.delete(item) : off.add(item);
    refresh();
  };
}
for (const tools of all(".tools")) {
  all("input", tools)[0].oninput = refresh;
  all(".more", tools)[0].onclick = ({target}) => {
    target.dataset.all = target.dataset.all ? "" : "1";
    refresh();
  };
}
refresh();
draw().catch(error => {
  const text = `The charts need a browser of 2023 or later: ${error}`;
  document.body.prepend(make("p", {className: "note"}, text));
});
