// Chapter 4: error of the sweeps of a graded neuron against the binomial-tail bound; sliders for decay, slope and K.
(function () {
  const T = 64, N = 40, W = 520, H = 400, LEFT = 46, FLOOR = -8, TOP = 4;
  const BLUE = "#3b82c4", ORANGE = "#d9822b";

  function normals(count) { // Box and Muller on a small linear congruential generator: the same 40 trains for every reader
    let seed = 20250610;
    const draw = () => (seed = (1664525 * seed + 1013904223) % 4294967296, (seed + 1) / 4294967297);
    return Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(draw())) * Math.cos(2 * Math.PI * draw()));
  }
  const NOISE = normals(T * N);
  const sigma = (a, z) => 1 / (1 + Math.exp(-a * z));

  function trains(kind, decay) {
    if (kind === "threshold") return [Array.from({ length: T }, (_, t) => (t ? 1 - decay / 2 : 1))];
    return Array.from({ length: N }, (_, n) => Array.from({ length: T }, (_, t) => 0.6 * (1 - decay) + 0.5 * NOISE[n * T + t]));
  }

  // One pass in time with the resets of `given`; with null the neuron resets itself, which is the loop.
  function pass(x, given, decay, slope) {
    let v = 0;
    return x.map((c, t) => {
      const u = decay * v + c, s = sigma(slope, u - 1);
      v = u - (given ? given[t] : s);
      return s;
    });
  }

  // errors[K][t] = largest |S^(K) - S*| over the trains
  function errors(xs, decay, slope) {
    const result = Array.from({ length: T + 1 }, () => new Float64Array(T));
    for (const x of xs) {
      const truth = pass(x, null, decay, slope);
      let s = new Array(T).fill(0);
      for (let K = 0; K <= T; K++) {
        s.forEach((value, t) => { result[K][t] = Math.max(result[K][t], Math.abs(value - truth[t])); });
        s = pass(x, s, decay, slope);
      }
    }
    return result;
  }

  // log10 of (slope/4)^K times the row sums of A^K, which obey r_K[t] = decay (r_K[t-1] + r_{K-1}[t-1])
  function bounds(decay, slope) {
    let row = new Float64Array(T).fill(1), scale = 0;
    const result = [];
    for (let K = 0; K <= T; K++) {
      result.push(Array.from(row, (r) => (r > 0 ? Math.log10(r) + scale : -Infinity)));
      const next = new Float64Array(T);
      for (let t = 1; t < T; t++) next[t] = decay * (next[t - 1] + row[t - 1]);
      const top = next[T - 1];
      scale += Math.log10(slope / 4) + (top > 0 ? Math.log10(top) : 0);
      row = top > 0 ? next.map((r) => r / top) : next;
    }
    return result;
  }

  function el(name, attributes, parent, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    parent.appendChild(node);
    return node;
  }

  const px = (i) => LEFT + (i / T) * (W - LEFT - 12);
  const clamp = (y) => Math.max(FLOOR, Math.min(TOP, y));

  function panel(svg, y0, height, label, axis) {
    const py = (y) => y0 + height * (1 - (clamp(y) - FLOOR) / (TOP - FLOOR));
    for (const y of [-8, -4, 0, 4]) {
      el("line", { x1: LEFT, x2: W - 12, y1: py(y), y2: py(y), stroke: "currentColor", opacity: y ? 0.15 : 0.6 }, svg);
      el("text", { x: LEFT - 6, y: py(y) + 4, "text-anchor": "end", "font-size": 13, fill: "currentColor" }, svg, y ? "1e" + y : "1");
    }
    el("text", { x: LEFT + 4, y: y0 - 6, "font-size": 14, fill: "currentColor" }, svg, label);
    el("text", { x: W - 12, y: y0 + height + 16, "text-anchor": "end", "font-size": 13, fill: "currentColor" }, svg, axis);
    return py;
  }

  function curve(svg, py, values, shift, style) {
    const points = values.map((y, i) => (y > -300 ? px(i + shift).toFixed(1) + "," + py(y).toFixed(1) : null)).filter(Boolean);
    el("polyline", { points: points.join(" "), fill: "none", "stroke-width": 2, ...style }, svg);
  }

  function draw(svg, state, note) {
    svg.replaceChildren();
    const error = errors(trains(state.kind, state.decay), state.decay, state.slope), bound = bounds(state.decay, state.slope);
    const log = (e) => (e > 1e-15 ? Math.log10(e) : -400);
    const worst = error.map((row) => log(Math.max(...row))), ceiling = bound.map((row) => Math.max(...row));
    const K = state.K, done = worst.findIndex((y) => y < -12);
    const above = panel(svg, 24, 150, "largest error after K evaluations", "evaluations K, 0 to " + T);
    curve(svg, above, ceiling, 0, { stroke: ORANGE, "stroke-dasharray": "7 4" });
    curve(svg, above, worst, 0, { stroke: BLUE });
    el("line", { x1: px(K), x2: px(K), y1: 24, y2: 174, stroke: "currentColor", "stroke-dasharray": "2 3" }, svg);
    el("text", { x: W - 14, y: 40, "text-anchor": "end", "font-size": 13, fill: ORANGE }, svg, "bound (dashed)");
    el("text", { x: W - 14, y: 57, "text-anchor": "end", "font-size": 13, fill: BLUE }, svg, "measured");
    const below = panel(svg, 222, 150, "error at each step for K = " + K, "time step, 1 to " + T);
    el("rect", { x: px(0), y: 222, width: px(K) - px(0), height: 150, fill: BLUE, opacity: 0.12 }, svg);
    curve(svg, below, bound[K], 0.5, { stroke: ORANGE, "stroke-dasharray": "7 4" });
    Array.from(error[K]).forEach((e, t) => e > 1e-15 && el("circle", { cx: px(t + 0.5), cy: below(log(e)), r: 3, fill: BLUE }, svg));
    const q = (state.slope / 4) * (state.decay / (1 - state.decay));
    note.textContent = "q = " + q.toFixed(2) + (q < 1 ? ": every sweep is a contraction" : ": no contraction in the largest-entry norm") +
      ". Largest error after " + K + " evaluations: " + Math.max(...error[K]).toPrecision(2) + " (bound " +
      (ceiling[K] > -300 ? Math.pow(10, ceiling[K]).toPrecision(2) : "0") + "). Below 1e-12 from K = " + done + " on. Shaded: exact by finite termination.";
  }

  function control(box, label, attributes, change) {
    const wrap = document.createElement("label"), input = document.createElement("input"), out = document.createElement("output");
    wrap.style.cssText = "display:inline-block;margin:0 1.2em .4em 0";
    Object.assign(input, { type: "range" }, attributes);
    out.textContent = " " + input.value;
    input.addEventListener("input", () => { out.textContent = " " + input.value; change(Number(input.value)); });
    wrap.append(label + " ", input, out);
    box.append(wrap);
  }

  function choice(box, label, options, change) {
    const wrap = document.createElement("label"), select = document.createElement("select");
    wrap.style.cssText = "display:inline-block;margin:0 1.2em .4em 0";
    for (const [value, text] of options) select.append(new Option(text, value));
    select.addEventListener("change", () => change(select.value));
    wrap.append(label + " ", select);
    box.append(wrap);
  }

  function start(box) {
    const state = { decay: 0.5, slope: 3, K: 3, kind: "random" }, controls = document.createElement("div");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), note = document.createElement("p");
    svg.setAttribute("viewBox", "0 0 " + W + " " + H);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", "Error of the sweeps and its bound, against the number of evaluations and against time");
    svg.style.cssText = "width:100%;height:auto";
    note.setAttribute("aria-live", "polite");
    const set = (key) => (value) => { state[key] = value; draw(svg, state, note); };
    control(controls, "decay λ", { min: 0.05, max: 0.95, step: 0.05, value: 0.5 }, set("decay"));
    control(controls, "slope α", { min: 0.5, max: 24, step: 0.5, value: 3 }, set("slope"));
    control(controls, "evaluations K", { min: 0, max: T, step: 1, value: 3 }, set("K"));
    choice(controls, "input", [["random", "40 random trains"], ["threshold", "on the threshold"]], set("kind"));
    box.append(controls, svg, note);
    draw(svg, state, note);
  }

  const begin = () => document.querySelectorAll(".sweep-error").forEach((box) => box.childElementCount || start(box));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
