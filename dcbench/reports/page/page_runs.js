"use strict";
// Runs of a method: their table is made when it is asked for, from the data block of the page.
const dcbenchRuns = (() => {
  let data = null;
  const all = () => (data ??= JSON.parse(document.getElementById("runs").textContent));
  const element = (name, text = "", className = "") => {
    const made = document.createElement(name);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const head = (title, note, className) => {
    const made = element("th", `${title} `, className);
    made.scope = "col";
    if (note) made.append(element("small", note));
    return made;
  };
  const rowOf = (run) => {
    const row = element("tr");
    const seed = element("th", run.seed, "num");
    seed.scope = "row";
    const hash = element("td");
    hash.append(element("code", run.sha256.slice(0, 10)));
    hash.firstChild.title = run.sha256;
    row.append(element("td", run.subset, "num"), seed);
    row.append(...run.cells.map((text) => element("td", text, "num")));
    row.append(hash, element("td", run.notes.join("; "), "notes"));
    return row;
  };
  const table = (key) => {
    const { table: of, method, runs } = all().methods[key];
    const made = element("table", "", "runs");
    const titles = element("tr");
    titles.append(head("Subset", "", "num"), head("Seed", "", "num"));
    titles.append(...all().columns[of].map(([title, note]) => head(title, note, "num")));
    titles.append(head("Predictions", "SHA-256", ""), head("Notes", "", ""));
    made.createTHead().append(titles);
    made.createTBody().append(...runs.map(rowOf));
    const scroll = element("div", "", "scroll");
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "group");
    scroll.setAttribute("aria-label", `Runs of ${method}`);
    scroll.append(made);
    return scroll;
  };
  const link = (href, text) => {
    const made = element("a", text);
    made.href = href;
    return made;
  };
  // A row below another one with the runs of a method, and where more of it is told.
  const detail = (id, key, columns, where) => {
    const { method, page, split } = all().methods[key];
    const made = element("tr", "", "detail");
    made.id = id;
    const cell = element("td");
    cell.colSpan = columns;
    const more = element("p", where ? `${method} on ${split}: ` : "", "aside");
    if (where) more.append(link(`#${key}`, `its row in the table of ${split}`), " · ");
    more.append(link(page, `about ${method}: paper, settings, all its rows, how to cite`));
    cell.append(more, table(key));
    made.append(cell);
    return made;
  };
  return { all, detail, element };
})();
