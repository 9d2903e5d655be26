/* Which solver for which size: bars of measured times, from timing-data.js. Plain SVG, no library, keyboard operable. */
(function () {
  "use strict";
  if (window.fptWhichSolver) { return; }
  window.fptWhichSolver = true;
  function start() {
    const box = document.getElementById("which-solver"), data = window.FPT_TIMING;
    if (!box || !data) { return; }
    const values = (k, f) => [...new Set(data.rows.filter(f || (() => true)).map((r) => r[k]))].sort((a, b) => a - b);
    const field = (id) => box.querySelector("[data-field='" + id + "']");
    const out = box.querySelector("[data-bars]"), text = box.querySelector("[data-text]");
    const round = (v) => (v >= 100 ? v.toFixed(0) : Number(v.toPrecision(3)).toString());
    const sizes = (n) => (n >= 1e6 ? (n / 1e6).toFixed(1) + " million" : n.toLocaleString("en"));
    const steps = values(1), neurons = values(2), decays = values(3);
    field("T").max = steps.length - 1;
    field("N").max = neurons.length - 1;
    field("T").value = Math.max(0, steps.indexOf(1024));
    field("N").value = Math.max(0, neurons.indexOf(1024));
    field("decay").max = decays.length - 1;
    function draw() {
      const T = steps[field("T").value], N = neurons[field("N").value], decay = decays[field("decay").value];
      const mode = field("mode").value, clock = Number(field("clock").value);
      box.querySelector("[data-T]").textContent = sizes(T);
      box.querySelector("[data-N]").textContent = sizes(N);
      box.querySelector("[data-decay]").textContent = decay;
      const rows = data.rows.filter((r) => r[1] === T && r[2] === N && r[3] === decay && r[4] === mode && r[clock] !== null)
        .sort((a, b) => a[clock] - b[clock]);
      out.textContent = "";
      if (!rows.length) { text.textContent = "This cell was not measured; the record says why. Move a slider."; return; }
      const top = Math.log10(rows[rows.length - 1][clock] * 1.5), low = Math.log10(rows[0][clock] / 3);
      for (const r of rows) {
        const line = document.createElement("div"), bar = document.createElement("span"), label = document.createElement("span");
        line.className = "bar-row";
        bar.className = "bar" + (r[7] > 0 ? " inexact" : "");
        bar.style.width = Math.max(1, 100 * (Math.log10(r[clock]) - low) / (top - low)) + "%";
        label.textContent = data.names[r[0]] + ": " + round(r[clock]) + " ms" + (r[7] > 0 ? ", " + sizes(r[7]) + " spikes wrong" : "");
        line.append(label, bar);
        out.append(line);
      }
      const exact = rows.filter((r) => r[7] === 0), first = exact[0];
      if (!first) { text.textContent = "No exact implementation was measured in this cell."; return; }
      const next = exact[1] ? ", " + round(exact[1][clock] / first[clock]) + " times faster than the next exact one" : "";
      text.textContent = "Fastest exact: " + data.names[first[0]] + next + ". It reaches " + Math.round(100 * first[8]) + " % of the copy bandwidth.";
    }
    box.querySelectorAll("input, select").forEach((element) => element.addEventListener("input", draw));
    draw();
  }
  if (document.readyState === "loading") { document.addEventListener("DOMContentLoaded", start); } else { start(); }
})();
