"use strict";
// Sorts tables, names the cheapest network at a loss, and draws the figures so that they can be zoomed and filtered.
// Without it, or where the browser lacks something, the page shows the same as still pictures and plain tables.
(() => {
  const byId = id => document.getElementById(id);
  const make = (tag, properties = {}, children = []) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // ---- numbers as people read them -------------------------------------------------------------------------------

  const PREFIXES = { "-18": "a", "-15": "f", "-12": "p", "-9": "n", "-6": "µ", "-3": "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T" };
  const si = (value, unit) => {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    if (value === 0) return `0 ${unit}`;
    const exponent = Math.min(12, Math.max(-18, 3 * Math.floor(Math.log10(Math.abs(value)) / 3)));
    return `${Number((value / 10 ** exponent).toPrecision(3))} ${PREFIXES[exponent]}${unit}`;
  };
  const count = value => Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");
  const plain = value => (value === null ? "–" : `${Number(value.toPrecision(3))}`);
  const words = (value, unit) => (unit === "B" ? binary(value) : unit ? si(value, unit) : plain(value));
  const binary = value => {
    const place = value > 0 ? Math.min(4, Math.max(0, Math.floor(Math.log2(value) / 10))) : 0;
    return `${Number((value / 1024 ** place).toPrecision(3))} ${["B", "KiB", "MiB", "GiB", "TiB"][place]}`;
  };

  // ---- tables ----------------------------------------------------------------------------------------------------

  const collator = new Intl.Collator("en", { numeric: true });
  const sortKey = cell => ("value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim());
  const compare = (a, b) => {
    if (typeof a !== "number" || typeof b !== "number") return collator.compare(a, b);
    // What is missing comes last in either direction.
    return Number.isNaN(a) - Number.isNaN(b) || a - b;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((header, place) => {
      const button = make("button", { type: "button", className: "sort" }, [...header.childNodes]);
      header.append(button);
      button.addEventListener("click", () => {
        const down = header.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", down ? "descending" : "ascending");
        const keyed = [...body.rows].map(row => [sortKey(row.cells[place]), row]);
        keyed.sort(([a], [b]) => (Number.isNaN(a) || Number.isNaN(b) || !down ? compare(a, b) : compare(b, a)));
        body.append(...keyed.map(([, row]) => row));
      });
    });
  }
  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(byId(button.dataset.copies).innerText);
      button.textContent = "Copied";
    });
  }

  const source = byId("explore-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);

  // ---- the cheapest network at a loss ----------------------------------------------------------------------------

  const advisor = byId("advisor");
  if (advisor && data.advice.length) {
    const [chosen, loss] = [byId("advice-of"), byId("advice-loss")];
    const told = byId("advice-answer");
    data.advice.forEach((one, place) => {
      const several = data.advice.some(other => other !== one && other.dataset === one.dataset);
      chosen.append(new Option(several ? `${one.dataset}, ${one.hardware}` : one.dataset, place));
    });
    const network = (one, at) =>
      `${one.shape[at]} of ${one.depth[at]} layers with ${count(one.n_parameters[at])} parameters`;
    const tell = () => {
      const one = data.advice[chosen.value];
      const wanted = Number(loss.value);
      const least = one.test_loss[one.test_loss.length - 1];
      if (loss.value === "" || !Number.isFinite(wanted)) return;
      const at = one.test_loss.findIndex(value => value <= wanted * (1 + 1e-6));
      if (at < 0) {
        told.textContent = `No network of this sweep reached a test loss of ${plain(wanted)} on ${one.dataset}; the least was ${plain(least)}.`;
        return;
      }
      const energy = one.energy_j[at];
      const next = one.energy_j.findLastIndex((value, place) => place < at && value <= energy / 2);
      told.textContent =
        `${network(one, at)}, stopped after ${count(Math.ceil(one.epoch[at]))} epochs: ${si(energy, "J")} of net energy` +
        `${one.origin === "measured" ? "" : ` (${one.origin})`} and ${si(one.training_s[at], "s")}. ` +
        (next < 0
          ? "No higher loss of this sweep halves that."
          : `Half of that or less buys a test loss of ${plain(one.test_loss[next])}: ${network(one, next)}, ${si(one.energy_j[next], "J")}.`);
    };
    const reset = () => {
      const losses = data.advice[chosen.value].test_loss;
      loss.value = Number((losses[losses.length - 1] * 1.05).toPrecision(3));
      tell();
    };
    chosen.addEventListener("change", reset);
    loss.addEventListener("input", tell);
    advisor.hidden = false;
    reset();
  }

  // ---- figures ---------------------------------------------------------------------------------------------------

  const table = data.table;
  const columns = {};
  for (const [name, column] of Object.entries(table.columns)) {
    columns[name] = Array.isArray(column) ? column : column.at.map(at => column.names[at]);
  }
  const everyRow = [...Array(table.rows).keys()];
  const FILTERS = ["dataset", "shape", "depth", "hardware"];
  const PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8877CC", "#AA5577", "#999933", "#44AA99"];
  const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "star", "hexagon", "cross", "x"];
  const shapes = [...new Set(columns.shape)].sort();
  const bar = byId("filters");
  const selects = Object.fromEntries(FILTERS.map(name => [name, byId(`filter-${name}`)]));
  const colourBy = byId("colour-by");
  const status = byId("filter-status");
  const wanted = {};

  for (const name of FILTERS) {
    for (const value of [...new Set(columns[name])].sort((a, b) => compare(a, b))) selects[name].append(new Option(value, value));
    selects[name].disabled = selects[name].options.length < 3;
  }
  const passes = row => FILTERS.every(name => !wanted[name] || String(columns[name][row]) === wanted[name]);
  const shownPanels = panels =>
    panels.filter(panel => Object.entries(panel.where).every(([name, value]) => !wanted[name] || String(value) === wanted[name]));

  const about = row =>
    [
      `<b>${columns.dataset[row]}</b>, ${columns.shape[row]} of ${columns.depth[row]} layers`,
      `${count(columns.n_parameters[row])} parameters, ${count(columns.epochs[row])} epochs of ${columns.batch_size[row]} rows`,
      `learning rate ${columns.learning_rate[row]}, ${columns.engine[row]}, ${columns.hardware[row]}`,
      `net energy ${si(columns.energy_net_j[row], "J")} (${columns.power_origin[row]}), ${si(columns.energy_per_datum_j[row], "J")} per datum`,
      `training ${si(columns.training_s[row], "s")}, test loss ${plain(columns.test_loss[row])}, ${columns.n_runs[row]} runs`,
      columns.experiment_id[row],
    ].join("<br>");

  const colours = () => {
    const names = [...new Set(columns[colourBy.value])].sort(compare);
    return name => PALETTE[Math.max(0, names.indexOf(name)) % PALETTE.length];
  };
  const valuesOf = (values, rows) => (typeof values === "string" ? rows.map(row => columns[values][row]) : values);
  // The points of marks that the filters leave, as [x, y, row, line].
  const points = (marks, panel) => {
    const rows = marks.rows ?? (typeof marks.x === "string" ? everyRow : []);
    const [x, y] = [valuesOf(marks.x, rows), marks.y === undefined ? [] : valuesOf(marks.y, rows)];
    return x
      .map((value, place) => [value, y[place], rows[place], marks.lines?.[place]])
      .filter(([a, b, row]) => a !== null && b !== null && (row === undefined || passes(row)))
      .filter(([a, b]) => !(panel.x.log && a <= 0) && !(panel.y.log && b <= 0));
  };
  const grouped = (items, key) => {
    const groups = new Map();
    for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
    return [...groups].sort(([a], [b]) => compare(a, b));
  };
  const median = values => {
    const ordered = [...values].sort((a, b) => a - b);
    const middle = ordered.length >> 1;
    return ordered.length % 2 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2;
  };

  const pointTraces = (marks, panel, ink) => {
    const colour = colours();
    const found = points(marks, panel);
    const traces = grouped(found, ([, , row]) => (marks.name ? marks.name : columns[colourBy.value][row])).map(([name, mine]) => ({
      type: "scatter",
      mode: "markers",
      name: String(name),
      legendgroup: String(name),
      x: mine.map(([x]) => x),
      y: mine.map(([, y]) => y),
      hovertext: mine.map(([, , row]) => about(row)),
      hoverinfo: "text",
      marker: {
        color: marks.name ? PALETTE[shapes.indexOf(marks.name) % PALETTE.length] : colour(name),
        symbol: mine.map(([, , row]) => SYMBOLS[shapes.indexOf(columns.shape[row]) % SYMBOLS.length]),
        size: found.length > 1500 ? 4 : 7,
        opacity: found.length > 300 ? 0.6 : 0.85,
      },
    }));
    if (marks.median && found.length) {
      const at = panel.x.log ? ([x]) => 2 ** (Math.round(2 * Math.log2(x)) / 2) : ([x]) => x;
      for (const [hardware, mine] of grouped(found, ([, , row]) => columns.hardware[row])) {
        const steps = grouped(mine, at).sort(([a], [b]) => a - b);
        traces.push({
          type: "scatter",
          mode: "lines",
          name: `median, ${hardware}`,
          x: steps.map(([x]) => x),
          y: steps.map(([, members]) => median(members.map(([, y]) => y))),
          line: { color: ink, width: 2.5 },
          hoverinfo: "skip",
        });
      }
    }
    if (marks.front && found.length) {
      let least = Infinity;
      const front = [...found].sort((a, b) => a[0] - b[0] || a[1] - b[1]).filter(([, y]) => y < least && ((least = y), true));
      traces.push({
        type: "scatter",
        mode: "lines",
        name: "least energy for a loss this low",
        x: front.map(([x]) => x),
        y: front.map(([, y]) => y),
        line: { color: ink, width: 2, shape: "hv" },
        hoverinfo: "skip",
      });
    }
    return traces;
  };

  const lineTraces = (marks, panel) => {
    if (!marks.rows) {
      if (marks.name && wanted.shape && wanted.shape !== marks.name) return [];
      const line = { color: PALETTE[shapes.indexOf(marks.name) % PALETTE.length], dash: marks.dashed ? "dash" : "solid" };
      return [{ type: "scatter", mode: "lines", name: marks.name, legendgroup: marks.name, showlegend: false, x: marks.x, y: marks.y, line, hoverinfo: "skip" }];
    }
    const colour = colours();
    return grouped(points(marks, panel), ([, , row]) => columns[colourBy.value][row]).map(([name, mine]) => {
      const trace = { x: [], y: [], hovertext: [] };
      mine.forEach(([x, y, row, line], place) => {
        if (place && mine[place - 1][3] !== line) for (const list of Object.values(trace)) list.push(null);
        trace.x.push(x);
        trace.y.push(y);
        trace.hovertext.push(about(row));
      });
      return {
        ...trace,
        type: "scatter",
        mode: "lines+markers",
        name: String(name),
        hoverinfo: "text",
        line: { color: colour(name), width: 1 },
        marker: { size: 3 },
        opacity: 0.75,
      };
    });
  };

  const histogramTraces = (marks, panel) => {
    const colour = colours();
    const found = points({ ...marks, y: undefined }, panel);
    if (!found.length) return [];
    const forward = panel.x.log ? Math.log2 : x => x;
    const back = panel.x.log ? x => 2 ** x : x => x;
    const logs = found.map(([x]) => forward(x));
    const low = Math.min(...logs);
    const step = panel.x.log ? 0.5 : Math.max((Math.max(...logs) - low) / 40, 1e-9);
    return grouped(found, ([, , row]) => columns[colourBy.value][row]).map(([name, mine]) => {
      const bins = grouped(mine, ([x]) => Math.floor((forward(x) - low) / step));
      return {
        type: "bar",
        name: String(name),
        x: bins.map(([bin]) => back(low + (bin + 0.5) * step)),
        y: bins.map(([, members]) => members.length),
        width: bins.map(([bin]) => back(low + (bin + 1) * step) - back(low + bin * step)),
        marker: { color: colour(name) },
        hovertemplate: "%{y}<extra>%{fullData.name}</extra>",
      };
    });
  };

  const barTrace = (marks, place) => ({
    type: "bar",
    name: marks.name,
    x: marks.y.map((_, bin) => Math.sqrt(marks.x[bin] * marks.x[bin + 1])),
    y: marks.y,
    width: marks.y.map((_, bin) => marks.x[bin + 1] - marks.x[bin]),
    marker: { color: PALETTE[place % PALETTE.length] },
    hovertemplate: `%{y}<extra>${marks.name}</extra>`,
  });

  // Colours by the logarithm: what lies near the least is what is looked for.
  const COLOUR_TICKS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 1.05, 1.2, 1.5, 2, 3, 5];
  const heatTrace = (marks, panel) => ({
    type: "heatmap",
    x: marks.x,
    y: marks.y,
    z: marks.z.map(row => row.map(value => (value > 0 ? Math.log10(value) : null))),
    text: marks.z,
    colorscale: "Cividis",
    colorbar: { thickness: 12, tickvals: COLOUR_TICKS.map(Math.log10), ticktext: COLOUR_TICKS.map(String) },
    hovertemplate: `%{x:.4~s} parameters, %{y:.4~s} epochs: %{text}<extra>${panel.title}</extra>`,
  });

  const tracesOf = (panel, ink) =>
    panel.marks.flatMap((marks, place) => {
      if (marks.mode === "points") return pointTraces(marks, panel, ink);
      if (marks.mode === "lines") return lineTraces(marks, panel);
      if (marks.mode === "histogram") return histogramTraces(marks, panel);
      return [marks.mode === "bars" ? barTrace(marks, place) : heatTrace(marks, panel)];
    });

  const axisOf = (axis, values, style) => ({
    title: { text: axis.unit && axis.unit !== "B" ? `${axis.title}, ${axis.unit}` : axis.title, standoff: 8 },
    type: axis.log ? "log" : "linear",
    exponentformat: "SI",
    gridcolor: style.line,
    linecolor: style.line,
    zerolinecolor: style.line,
    automargin: true,
    ...(axis.log && values.length ? { dtick: Math.max(...values) / Math.min(...values) > 300 ? 1 : "D2", minorloglabels: "complete" } : {}),
  });

  const numbersOf = (traces, name) => traces.flatMap(trace => trace[name]).filter(value => value !== null && value > 0);
  const layoutOf = (panel, traces, style) => ({
    title: { text: panel.title, font: { size: 13 }, x: 0, xanchor: "left", automargin: true },
    font: { family: "system-ui, sans-serif", size: 12, color: style.ink },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 60, r: 12, t: 36, b: 48 },
    height: 400,
    barmode: "stack",
    hoverlabel: { align: "left", bgcolor: style.raised, font: { color: style.ink } },
    legend: { orientation: "h", y: -0.28, font: { size: 11 } },
    xaxis: axisOf(panel.x, numbersOf(traces, "x"), style),
    yaxis: axisOf(panel.y, numbersOf(traces, "y"), style),
    shapes: panel.verticals.map(([x]) => ({
      type: "line",
      xref: "x",
      yref: "paper",
      x0: x,
      x1: x,
      y0: 0,
      y1: 1,
      line: { color: style.faint, width: 1, dash: "dot" },
    })),
    annotations: panel.verticals.map(([x, text]) => ({ xref: "x", yref: "paper", x: panel.x.log ? Math.log10(x) : x, y: 1, text, showarrow: false, xanchor: "right", yanchor: "top", textangle: -90, font: { size: 10, color: style.faint } })),
  });
  const diagonal = traces => {
    const values = traces.flatMap(trace => trace.x);
    const ends = [Math.min(...values), Math.max(...values)];
    return { type: "scatter", mode: "lines", name: "equal", x: ends, y: ends, line: { color: "#888888", width: 1 }, hoverinfo: "skip" };
  };

  let plotly;
  const inflate = async text => {
    const bytes = Uint8Array.from(atob(text), character => character.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const load = () =>
    (plotly ??= (async () => {
      const script = make("script", { textContent: await inflate(byId("plotly-source").textContent.trim()) });
      document.head.append(script);
      return window.Plotly;
    })());

  const style = () => {
    const found = getComputedStyle(document.documentElement);
    return Object.fromEntries(["ink", "faint", "line", "raised"].map(name => [name, found.getPropertyValue(`--${name}`).trim()]));
  };

  const drawn = new Set();
  const draw = async element => {
    const Plotly = await load();
    const place = element.querySelector(".panels");
    const panels = shownPanels(data.figures[element.dataset.figure]);
    const look = style();
    // What is not laid out has no width to draw for.
    element.classList.add("live");
    [...place.children].slice(panels.length).forEach(child => {
      Plotly.purge(child);
      child.remove();
    });
    // All of them before any is drawn: the width of one depends on how many there are.
    while (place.children.length < panels.length) place.append(make("div", { className: "panel" }));
    let n = 0;
    for (const [number, panel] of panels.entries()) {
      const box = place.children[number];
      const traces = tracesOf(panel, look.ink);
      if (panel.diagonal && traces.length) traces.push(diagonal(traces));
      n += traces.reduce((sum, trace) => sum + (trace.hovertext?.filter(text => text !== null).length ?? 0), 0);
      await Plotly.react(box, traces, layoutOf(panel, traces, look), { responsive: true, displaylogo: false, scrollZoom: false });
    }
    const empty = !panels.length;
    element.querySelector(".empty").hidden = !empty;
    element.dataset.points = n;
  };

  const inSight = new Set();
  const refresh = element => {
    if (element.dataset.drawn === key() || element.classList.contains("still")) return;
    element.dataset.drawn = key();
    draw(element).catch(error => {
      // The still picture stays.
      element.classList.remove("live");
      console.warn(`figure ${element.dataset.figure} stays a picture: ${error.message}`);
    });
  };
  const key = () => [...FILTERS.map(name => wanted[name] ?? ""), colourBy.value, matchMedia("(prefers-color-scheme: dark)").matches].join("|");
  const refreshAll = () => inSight.forEach(refresh);

  const tellStatus = () => {
    const n = everyRow.filter(passes).length;
    const all = table.of > table.rows ? `${count(table.rows)} of ${count(table.of)} experiments, evenly chosen; the tables have all` : `${count(table.rows)} experiments`;
    status.textContent = n === table.rows ? `All of ${all}.` : `${count(n)} of ${all}.`;
  };

  const start = () => {
    if (typeof DecompressionStream === "undefined" || typeof IntersectionObserver === "undefined") return;
    bar.hidden = false;
    const observer = new IntersectionObserver(
      entries => {
        for (const { target, isIntersecting } of entries) {
          if (isIntersecting) {
            inSight.add(target);
            refresh(target);
          } else inSight.delete(target);
        }
      },
      { rootMargin: "200px" },
    );
    for (const element of document.querySelectorAll("figure[data-figure]")) {
      if (!data.figures[element.dataset.figure]?.length) continue;
      const toggle = element.querySelector(".as-printed");
      toggle.hidden = false;
      toggle.addEventListener("click", () => {
        const still = element.classList.toggle("still");
        toggle.setAttribute("aria-pressed", still);
        if (!still) refresh(element);
      });
      observer.observe(element);
    }
    for (const name of FILTERS) {
      selects[name].addEventListener("change", () => {
        wanted[name] = selects[name].value;
        tellStatus();
        refreshAll();
      });
    }
    colourBy.addEventListener("change", refreshAll);
    byId("filter-reset").addEventListener("click", () => {
      for (const name of FILTERS) {
        selects[name].value = "";
        wanted[name] = "";
      }
      tellStatus();
      refreshAll();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refreshAll);
    tellStatus();
  };
  start();
})();
