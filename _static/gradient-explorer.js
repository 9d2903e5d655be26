/* Relative error of the unrolled gradient against K, for a decay and a slope of the reader's choice.
   Graded soft-reset neurons, T = 32; plain JavaScript and SVG, no library, no network. Fills #gradient-explorer. */
(function () {
  "use strict";
  const T = 32, N = 24, W = 720, H = 300, LEFT = 56, RIGHT = 12, TOP = 26, BOTTOM = 40, LOW = -8, HIGH = 3;
  const SVG = "http://www.w3.org/2000/svg";

  /* A small reproducible generator, so that every reader sees the same input. */
  function normals(count) {
    let state = 20261122;
    const uniform = () => (state = (1103515245 * state + 12345) % 2147483648, (state + 0.5) / 2147483648);
    return Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
  }
  const NOISE = normals(T * N), WEIGHT = normals(T * N);

  /* Errors for K = 1..T of the unrolled gradient, of the Neumann series at the solution, and of the detached reset. */
  function errors(decay, slope) {
    const f = (u) => 1 / (1 + Math.exp(-slope * (u - 1)));
    const h = (u) => slope * f(u) * (1 - f(u));
    const unrolled = new Float64Array(T), series = new Float64Array(T);
    let size = 0;
    for (let n = 0; n < N; n++) {
      const x = new Float64Array(T), l = new Float64Array(T);
      for (let t = 0; t < T; t++) { x[t] = 0.6 * (1 - decay) + 0.5 * NOISE[t * N + n]; l[t] = WEIGHT[t * N + n]; }
      const D = new Float64Array(T), g = new Float64Array(T);
      for (let t = 0, v = 0; t < T; t++) { const u = decay * v + x[t]; D[t] = h(u); v = u - f(u); }
      for (let t = T - 1, next = 0; t >= 0; t--) { next = g[t] = D[t] * l[t] + decay * (1 - D[t]) * next; size += g[t] * g[t]; }
      const stages = [];
      let s = new Float64Array(T);
      for (let k = 0; k < T; k++) {
        const slopes = new Float64Array(T), fired = new Float64Array(T);
        for (let t = 0, v = 0; t < T; t++) { const u = decay * v + x[t]; fired[t] = f(u); slopes[t] = h(u); v = u - s[t]; }
        stages.push(slopes); s = fired;
      }
      /* One term: g <- -D A^T g, gradient = Lambda^T (sum of terms); A^T g by a reverse scan. */
      const back = (first, next) => {
        const out = [], total = first.map((d, t) => d * l[t]);
        let term = Float64Array.from(total);
        for (let j = 1; ; j++) {
          let miss = 0;
          for (let t = T - 1, sum = 0; t >= 0; t--) { sum = total[t] + decay * sum; miss += (sum - g[t]) * (sum - g[t]); }
          out.push(miss);
          const d = next(j);
          if (!d) return out;
          const fresh = new Float64Array(T);
          for (let t = T - 1, sum = 0; t >= 0; t--) { fresh[t] = -d[t] * sum; sum = decay * (sum + term[t]); }
          term = fresh;
          for (let t = 0; t < T; t++) total[t] += term[t];
        }
      };
      const neumann = back(D, (j) => (j < T ? D : null));
      for (let k = 0; k < T; k++) {
        series[k] += neumann[k];
        const run = back(stages[k], (j) => (j <= k ? stages[k - j] : null));
        unrolled[k] += run[k];
      }
    }
    const relative = (a) => Array.from(a, (e) => Math.sqrt(e / size));
    return { unrolled: relative(unrolled), series: relative(series) };
  }

  function el(name, attributes, parent, text) {
    const node = name === "svg" || parent instanceof SVGElement ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    parent.appendChild(node);
    return node;
  }

  function slider(box, id, label, min, max, step, value, digits) {
    const cell = el("label", { "for": id, style: "display:flex;flex-direction:column;flex:1 1 10rem;font-size:.9rem" }, box);
    const caption = el("span", {}, cell, "");
    const input = el("input", { id, type: "range", min, max, step, value, style: "width:100%" }, cell);
    return { input, show: () => { caption.textContent = label + " = " + Number(input.value).toFixed(digits); } };
  }

  function build(box) {
    if (!box || box.dataset.built) return;
    box.dataset.built = "yes";
    const controls = el("div", { style: "display:flex;flex-wrap:wrap;gap:.6rem 1.4rem;margin:.4rem 0" }, box);
    const decay = slider(controls, "gradient-decay", "decay λ", 0, 1, 0.01, 0.9, 2);
    const slope = slider(controls, "gradient-slope", "slope α", 0.5, 16, 0.5, 4, 1);
    const svg = el("svg", { viewBox: "0 0 " + W + " " + H, role: "img", "aria-labelledby": "gradient-title", style: "width:100%;height:auto;display:block;color:var(--pst-color-text-base,#222)" }, box);
    el("title", { id: "gradient-title" }, svg, "Relative gradient error against the number of sweeps or terms kept");
    const scene = el("g", {}, svg);
    const report = el("output", { "for": "gradient-decay gradient-slope", "aria-live": "polite", style: "display:block;font-size:.9rem" }, box);
    const px = (k) => LEFT + (W - LEFT - RIGHT) * (k - 1) / (T - 1);
    const py = (e) => TOP + (H - TOP - BOTTOM) * (HIGH - Math.min(HIGH, Math.max(LOW, Math.log10(e + 1e-300)))) / (HIGH - LOW);

    function draw() {
      decay.show(); slope.show();
      const run = errors(+decay.input.value, +slope.input.value);
      while (scene.firstChild) scene.removeChild(scene.firstChild);
      const text = (x, y, anchor, words, more) => el("text", Object.assign({ x, y, "text-anchor": anchor, fill: "currentColor", "font-size": 14 }, more), scene, words);
      for (let e = LOW; e <= HIGH; e += 2) {
        el("line", { x1: LEFT, x2: W - RIGHT, y1: py(10 ** e), y2: py(10 ** e), stroke: "currentColor", "stroke-opacity": 0.15 }, scene);
        text(LEFT - 8, py(10 ** e) + 5, "end", "1e" + e);
      }
      el("line", { x1: LEFT, x2: W - RIGHT, y1: py(1), y2: py(1), stroke: "currentColor", "stroke-dasharray": "2 4" }, scene);
      for (let k = 1; k <= T; k = k === 1 ? 4 : k + 4) text(px(k), H - BOTTOM + 20, "middle", String(k));
      text((LEFT + W) / 2, H - 4, "middle", "K");
      const first = run.series[0];
      el("line", { x1: LEFT, x2: W - RIGHT, y1: py(first), y2: py(first), stroke: "#7a828c", "stroke-width": 1.5 }, scene);
      for (const [values, colour, dash] of [[run.unrolled, "#3a9ad9", ""], [run.series, "#d55e00", "7 5"]]) {
        el("polyline", { points: values.map((e, k) => px(k + 1) + "," + py(e)).join(" "), fill: "none", stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash }, scene);
      }
      text(LEFT + 6, 16, "start", "unrolled sweeps", { fill: "#3a9ad9" });
      text(LEFT + 150, 16, "start", "– – Neumann series", { fill: "#d55e00" });
      text(LEFT + 310, 16, "start", "detached reset", { fill: "#7a828c" });
      const worst = run.series.indexOf(Math.max(...run.series)) + 1, gain = +slope.input.value / 4 * +decay.input.value / (1 - +decay.input.value);
      report.textContent = "q = " + (isFinite(gain) ? gain.toFixed(2) : "infinite") + ". The series is worst at K = " + worst + " (error " +
        run.series[worst - 1].toPrecision(2) + "); at K = 3 the unrolled error is " + run.unrolled[2].toPrecision(2) + ".";
    }
    for (const control of [decay, slope]) control.input.addEventListener("input", draw);
    draw();
  }
  const start = () => build(document.getElementById("gradient-explorer"));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
