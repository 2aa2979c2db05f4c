"use strict";
// Asks for a snapshot every few seconds and shows it; text from files is only ever put in as text.
(() => {
  const EVERY_MS = 3000;
  const byId = id => document.getElementById(id);
  const make = (tag, properties = {}, children = []) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const cell = (text, number = false) => make("td", { textContent: text, className: number ? "number" : "" });
  const count = value => Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");

  const tellTotal = ({ status, words, finished }) => {
    const { planned, done, failed, refused } = status.total;
    byId("bar").value = planned ? done / planned : 1;
    const parts = [
      `${count(done)} of ${count(planned)} runs`,
      `${count(failed)} failed`,
      `${count(refused)} energies refused`,
      status.rate_per_h === null ? "" : `${count(status.rate_per_h)} runs/h`,
      words.left && `about ${words.left} left`,
      words.energy && `${words.energy} so far`,
      finished ? "all shards are finished" : "",
    ];
    byId("total").textContent = `${parts.filter(Boolean).join(", ")}.`;
    document.title = `${planned ? Math.floor((100 * done) / planned) : 100} % - wattsweep`;
  };
  const tellSweeps = ({ status }) =>
    byId("sweeps").tBodies[0].replaceChildren(
      ...Object.entries(status.sweeps).map(([name, one]) =>
        make("tr", {}, [
          make("th", { scope: "row", textContent: name }),
          ...["planned", "done", "further", "failed", "refused"].map(key => cell(count(one[key]), true)),
        ]),
      ),
    );
  const tellNodes = ({ status }) =>
    byId("nodes").tBodies[0].replaceChildren(
      ...(status.running_shards.length
        ? status.running_shards.map(one =>
            make("tr", {}, [
              make("th", { scope: "row", textContent: one.node }),
              cell(one.state === "silent" ? `no heartbeat for ${count(one.heartbeat_s)} s` : one.state),
              cell(one.now || "–"),
              cell(`${count(one.experiments_done)} of ${count(one.experiments)}`, true),
              cell(one.slurm_job_id || "–"),
              make("td", {}, [make("a", { href: `log/${one.shard_id}`, target: "_blank", textContent: one.shard_id })]),
            ]),
          )
        : [make("tr", {}, [make("td", { colSpan: 6, textContent: "No shard is executed now." })])]),
    );

  const tellTraces = ({ traces }) => {
    const place = byId("traces");
    const look = getComputedStyle(document.documentElement);
    const colour = name => look.getPropertyValue(`--${name}`).trim();
    for (const child of [...place.children]) if (!traces.some(one => one.file === child.dataset.file)) child.remove();
    for (const one of traces) {
      let box = [...place.children].find(child => child.dataset.file === one.file);
      if (!box) {
        box = place.appendChild(make("div", { className: "trace" }, [make("h3"), make("div", { className: "plot" })]));
        box.dataset.file = one.file;
      }
      const [head, plot] = box.children;
      head.replaceChildren(`Power of ${one.node}`);
      if (one.why) {
        plot.textContent = one.why;
        continue;
      }
      head.append(`, ${one.source}, scope ${one.scope}`);
      if (one.origin !== "measured") head.append(" ", make("span", { className: "unreal", textContent: `${one.origin.toUpperCase()}, not a measurement` }));
      const every = one.one_in > 1 ? `, one sample in ${one.one_in}` : "";
      window.Plotly.react(
        plot,
        [{ type: "scatter", mode: "lines", x: one.wall_s.map(at => new Date(1000 * at)), y: one.power_w, line: { color: colour("accent"), width: 1.3 }, connectgaps: false, hovertemplate: "%{y:.4~s}W<extra></extra>" }],
        {
          height: 220,
          margin: { l: 56, r: 12, t: 8, b: 34 },
          font: { family: "system-ui, sans-serif", size: 12, color: colour("ink") },
          paper_bgcolor: "rgba(0,0,0,0)",
          plot_bgcolor: "rgba(0,0,0,0)",
          xaxis: { gridcolor: colour("line"), title: { text: `the last 5 min${every}` } },
          yaxis: { gridcolor: colour("line"), rangemode: "tozero", title: { text: "power, W" } },
        },
        { responsive: true, displayModeBar: false },
      );
    }
  };

  const tellFailures = ({ failures }) => {
    byId("no-failures").hidden = failures.length > 0;
    const open = new Set([...document.querySelectorAll("#failures details[open]")].map(one => one.dataset.key));
    byId("failures").replaceChildren(
      ...failures.map(one => {
        const key = `${one.runs?.[0] ?? one.message}-${one.attempt ?? 0}`;
        const where = [one.failed_at, one.host && `on ${one.host}`, one.slurm_job_id && `job ${one.slurm_job_id}`].filter(Boolean).join(", ");
        const details = make("details", { open: open.has(key) }, [
          make("summary", { textContent: `${one.kind}: ${one.message}` }),
          make("p", { className: "faint", textContent: `${where}; attempt ${one.attempt ?? "?"}; runs ${(one.runs ?? []).join(", ") || "?"}` }),
          make("pre", { textContent: one.traceback, tabIndex: 0 }),
        ]);
        details.dataset.key = key;
        return details;
      }),
    );
  };

  const look = async () => {
    try {
      const answer = await fetch("snapshot.json", { cache: "no-store" });
      if (!answer.ok) throw new Error(await answer.text());
      const found = await answer.json();
      byId("waiting").hidden = !found.waiting;
      if (found.waiting) {
        byId("waiting").textContent = found.waiting;
        byId("taken").textContent = "Waiting for a plan.";
      } else {
        byId("taken").textContent = `Taken at ${found.status.taken_at}; read again every ${EVERY_MS / 1000} s.`;
        for (const tell of [tellTotal, tellSweeps, tellNodes, tellTraces, tellFailures]) tell(found);
      }
    } catch (error) {
      byId("taken").textContent = `The dashboard does not answer (${error.message.trim()}): is \`wattsweep dashboard\` still running?`;
    }
    window.setTimeout(look, EVERY_MS);
  };
  look();
})();
