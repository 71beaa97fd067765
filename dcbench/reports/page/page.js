"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  root.classList.add("js");

  // Theme: the system's, light or dark; remembered where the browser lets a local page do so.
  const themes = ["system", "light", "dark"];
  const remembered = {
    get: () => { try { return localStorage.getItem("dcbench-theme"); } catch { return null; } },
    set: (theme) => { try { localStorage.setItem("dcbench-theme", theme); } catch { /* not kept */ } },
  };
  const themeButton = document.getElementById("theme");
  const showTheme = (theme) => {
    root.dataset.theme = theme;
    themeButton.textContent = `Theme: ${theme}`;
  };
  showTheme(themes.includes(remembered.get()) ? remembered.get() : "system");
  themeButton.hidden = false;
  themeButton.addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length];
    showTheme(next);
    remembered.set(next);
  });

  // Tabs: links to the sections without this script, tabs of one list with it.
  const tablist = document.querySelector(".tabs");
  const tabs = all("a", tablist);
  const panelOf = (tab) => document.getElementById(tab.hash.slice(1));
  const select = (tab) => {
    for (const each of tabs) {
      const chosen = each === tab;
      each.setAttribute("aria-selected", String(chosen));
      each.tabIndex = chosen ? 0 : -1;
      panelOf(each).hidden = !chosen;
    }
  };
  const choose = (tab, focus) => {
    select(tab);
    if (focus) tab.focus();
    // Not when the page opens: scrolling moves the point from which the Tab key goes on, and it
    // would skip the link to the tables.
    tab.parentElement.scrollIntoView({ block: "nearest", inline: "nearest" });
    history.replaceState(null, "", tab.hash);
  };
  const ofAddress = () => tabs.find((tab) => tab.hash === location.hash) ?? tabs[0];
  tablist.setAttribute("role", "tablist");
  tablist.setAttribute("aria-label", "Splits");
  for (const wrapper of all(".group, ul, li", tablist)) wrapper.setAttribute("role", "presentation");
  for (const heading of all("h2", tablist)) heading.setAttribute("aria-hidden", "true");
  tabs.forEach((tab, index) => {
    const panel = panelOf(tab);
    tab.id = `tab-${panel.id}`;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-label", tab.dataset.label);
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      choose(tab, false);
    });
    tab.addEventListener("keydown", (event) => {
      const last = tabs.length - 1;
      const to = {
        ArrowRight: index === last ? 0 : index + 1,
        ArrowDown: index === last ? 0 : index + 1,
        ArrowLeft: index === 0 ? last : index - 1,
        ArrowUp: index === 0 ? last : index - 1,
        Home: 0,
        End: last,
        " ": index,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      choose(tabs[to], true);
    });
  });
  // The browser scrolls to a section that the address names; a row is in a section that may be hidden.
  const openAddress = () => {
    if (tabs.some((tab) => tab.hash === location.hash)) {
      select(ofAddress());
      return;
    }
    const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const owner = tabs.find((tab) => panelOf(tab) === named?.closest(".panel"));
    if (!owner) return;
    select(owner);
    named.hidden = false; // it may be beyond the first rows
    const more = named.querySelector(":scope > tr .more[aria-expanded=false]");
    if (more) more.click();
    named.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", openAddress);
  select(ofAddress());

  // Of a long table, the first rows alone are laid out until all are asked for.
  const most = 50;
  const wants = new WeakMap();
  const refresh = (table) => {
    const wanted = wants.get(table) ?? (() => true);
    const whole = table.dataset.whole !== undefined;
    let kept = 0;
    for (const body of table.tBodies) {
      const fits = wanted(body);
      kept += fits;
      body.hidden = !fits || (kept > most && !whole);
    }
    const rest = table.parentElement.nextElementSibling;
    if (rest?.classList.contains("rest")) {
      rest.hidden = whole || kept <= most;
      rest.textContent = `Show all ${kept} rows`;
    }
    return kept;
  };
  const collator = new Intl.Collator();
  for (const table of all("table.sortable").filter((each) => each.tBodies.length > most)) {
    const rest = dcbenchRuns.element("button", "", "rest");
    rest.type = "button";
    rest.addEventListener("click", () => {
      table.dataset.whole = "";
      refresh(table);
    });
    table.parentElement.after(rest);
    refresh(table);
  }

  // Sorting: a method and its runs are one tbody. Cells without a number stay last.
  const order = (body, column, kind) => {
    const value = body.rows[0].cells[column].dataset.order ?? body.rows[0].cells[column].textContent.trim();
    if (kind === "text") return value;
    return body.rows[0].cells[column].dataset.order === undefined ? null : Number(value);
  };
  const sort = (table, head) => {
    const { kind, first } = head.dataset;
    const other = first === "ascending" ? "descending" : "ascending";
    const direction = head.getAttribute("aria-sort") === first ? other : first;
    const sign = direction === "ascending" ? 1 : -1;
    const column = head.cellIndex;
    const keyed = [...table.tBodies].map((body) => ({ body, key: order(body, column, kind) }));
    keyed.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
      return sign * (kind === "text" ? collator.compare(a.key, b.key) : a.key - b.key);
    });
    for (const each of head.parentElement.cells) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction);
    table.append(...keyed.map(({ body }) => body));
    refresh(table);
  };
  for (const button of all(".sort")) {
    button.disabled = false;
    button.addEventListener("click", () => sort(button.closest("table"), button.closest("th")));
  }

  // Runs of a method, and those behind a cell of the overview: made when they are asked for.
  const unfold = (opener, key, where) => {
    const row = opener.closest("tr");
    const id = where ? `open-${key}` : `runs-${key}`;
    const there = document.getElementById(id);
    const other = where ? row.parentElement.querySelector(":scope > .detail") : null;
    other?.remove();
    for (const each of all("[aria-expanded]", row)) each.setAttribute("aria-expanded", "false");
    if (there) there.remove();
    else {
      row.after(dcbenchRuns.detail(id, key, row.cells.length, where));
      opener.setAttribute("aria-expanded", "true");
      opener.setAttribute("aria-controls", id);
    }
  };
  for (const button of all(".more")) {
    button.disabled = false;
    button.addEventListener("click", () => unfold(button, button.closest("tbody").id, false));
  }
  for (const cell of all(".cell")) {
    cell.setAttribute("role", "button");
    cell.setAttribute("aria-expanded", "false");
    cell.addEventListener("click", (event) => {
      event.preventDefault();
      unfold(cell, cell.dataset.row, true);
    });
    cell.addEventListener("keydown", (event) => {
      if (event.key !== " ") return; // as a button; a link takes Enter alone
      event.preventDefault();
      cell.click();
    });
  }
  for (const area of all(".drop")) dcbenchCheck.start(area);

  // Filters: by the method's name and by the kind of row.
  for (const bar of all(".filter")) {
    const search = bar.querySelector("[type=search]");
    const states = all("[type=checkbox]", bar);
    const tables = all("table.sortable", bar.closest(".panel"));
    const total = tables.reduce((sum, table) => sum + table.tBodies.length, 0);
    const said = bar.querySelector("output");
    const filter = () => {
      const wanted = search.value.trim().toLowerCase();
      const kept = states.filter((box) => box.checked).map((box) => box.value);
      const fits = ({ dataset }) => dataset.name.toLowerCase().includes(wanted) && kept.includes(dataset.state);
      let shown = 0;
      for (const table of tables) {
        wants.set(table, fits);
        shown += refresh(table);
      }
      said.textContent = shown === total ? "" : `${shown} of ${total} rows`;
    };
    bar.hidden = false;
    bar.addEventListener("input", filter);
    filter();
  }

  if (location.hash) openAddress();
})();
