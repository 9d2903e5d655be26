/* Error per sweep of Jacobi, FPT, centred FPT and Newton on graded soft-reset neurons; decay and slope by sliders.
   Plain JavaScript and SVG, no library, no network. Fills #sweep-race. */
(function () {
  "use strict";
  const T = 96, N = 12, SWEEPS = 40, W = 720, H = 300, LEFT = 56, RIGHT = 12, TOP = 26, BOTTOM = 40, LOW = -10, HIGH = 3;
  const SVG = "http://www.w3.org/2000/svg";
  const METHODS = [["Jacobi", "#7a828c", "2 5"], ["FPT", "#3a9ad9", ""], ["centred FPT", "#009e73", "10 5"], ["Newton", "#d55e00", "6 4"]];

  function normals(count) {
    let state = 8;
    const uniform = () => (state = (1103515245 * state + 12345) % 2147483648, (state + 0.5) / 2147483648);
    return Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
  }
  const NOISE = normals(T * N);

  /* Median over neurons of the largest membrane error, after each sweep, for each method. */
  function race(decay, slope) {
    const f = (u) => 1 / (1 + Math.exp(-slope * (u - 1)));
    const step = (u) => decay * (u - f(u));
    const slopes = [() => 0, () => decay, () => decay * (1 - slope / 8), (u) => decay * (1 - slope * f(u) * (1 - f(u)))];
    const scale = 0.35 * Math.sqrt(1 - decay * decay) + 0.05;
    return slopes.map((A) => {
      const table = Array.from({ length: SWEEPS }, () => []);
      for (let n = 0; n < N; n++) {
        const x = Float64Array.from({ length: T }, (_, t) => 0.6 * (1 - decay) + 0.05 + scale * NOISE[t * N + n]);
        const truth = new Float64Array(T);
        let old = new Float64Array(T);
        for (let t = 0; t < T; t++) {
          truth[t] = t ? step(truth[t - 1]) + x[t] : x[0];
          old[t] = t ? decay * old[t - 1] + x[t] : x[0];
        }
        for (let k = 0; k < SWEEPS; k++) {
          let worst = 0;
          for (let t = 0; t < T; t++) worst = Math.max(worst, Number.isFinite(old[t]) ? Math.abs(old[t] - truth[t]) : 1e300);
          table[k].push(worst);
          const fresh = new Float64Array(T);
          fresh[0] = x[0];
          for (let t = 1; t < T; t++) fresh[t] = step(old[t - 1]) + x[t] + A(old[t - 1]) * (fresh[t - 1] - old[t - 1]);
          old = fresh;
        }
      }
      return table.map((row) => row.sort((a, b) => a - b)[N >> 1]);
    });
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
    const decay = slider(controls, "race-decay", "decay λ", 0.05, 0.99, 0.01, 0.9, 2);
    const slope = slider(controls, "race-slope", "slope α", 0.5, 24, 0.5, 4, 1);
    const svg = el("svg", { viewBox: "0 0 " + W + " " + H, role: "img", "aria-labelledby": "race-title", style: "width:100%;height:auto;display:block;color:var(--pst-color-text-base,#222)" }, box);
    el("title", { id: "race-title" }, svg, "Membrane error after each sweep, four methods");
    const scene = el("g", {}, svg);
    const report = el("output", { "for": "race-decay race-slope", "aria-live": "polite", style: "display:block;font-size:.9rem" }, box);
    const px = (k) => LEFT + (W - LEFT - RIGHT) * (k - 1) / (SWEEPS - 1);
    const py = (e) => TOP + (H - TOP - BOTTOM) * (HIGH - Math.min(HIGH, Math.max(LOW, Math.log10(e + 1e-300)))) / (HIGH - LOW);

    function draw() {
      decay.show(); slope.show();
      const lambda = +decay.input.value, alpha = +slope.input.value, run = race(lambda, alpha);
      while (scene.firstChild) scene.removeChild(scene.firstChild);
      const text = (x, y, anchor, words, more) => el("text", Object.assign({ x, y, "text-anchor": anchor, fill: "currentColor", "font-size": 14 }, more), scene, words);
      for (let e = LOW; e <= HIGH; e += 2) {
        el("line", { x1: LEFT, x2: W - RIGHT, y1: py(10 ** e), y2: py(10 ** e), stroke: "currentColor", "stroke-opacity": 0.15 }, scene);
        text(LEFT - 8, py(10 ** e) + 5, "end", "1e" + e);
      }
      for (let k = 1; k <= SWEEPS; k = k === 1 ? 10 : k + 10) text(px(k), H - BOTTOM + 20, "middle", String(k));
      text((LEFT + W) / 2, H - 4, "middle", "sweep K");
      METHODS.forEach(([name, colour, dash], i) => {
        el("polyline", { points: run[i].map((e, k) => px(k + 1) + "," + py(e)).join(" "), fill: "none", stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash }, scene);
        text(LEFT + 6 + 150 * i, 16, "start", name, { fill: colour });
      });
      const rho = Math.max(lambda, lambda * Math.abs(1 - alpha / 4)), q = alpha / 4 * lambda / (1 - lambda);
      const mu = Math.abs(lambda * (1 - alpha / 8)), centred = mu < 1 ? lambda * alpha / 8 / (1 - mu) : Infinity;
      report.textContent = "Contraction constants: neuron " + rho.toFixed(2) + ", FPT " + q.toFixed(2) + ", centred " + centred.toFixed(2) +
        (rho < 1 ? ". The neuron contracts, and so does the centred sweep." : ". The neuron does not contract: slope above " + (4 * (1 + 1 / lambda)).toFixed(1) + ".");
    }
    for (const control of [decay, slope]) control.input.addEventListener("input", draw);
    draw();
  }
  const start = () => build(document.getElementById("sweep-race"));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
