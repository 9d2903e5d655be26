// Chapter 5: a lower and an upper membrane and spike train that close around the sequential neuron, sweep by sweep.
(function () {
  const T = 40, W = 520, LEFT = 40, TOP = 22, HEIGHT = 200, ROW = 250, MAXK = 24;
  const BLUE = "#3b82c4", ORANGE = "#d9822b";

  function normals(seed, count) { // Box and Muller on a small linear congruential generator: the same trains for every reader
    const draw = () => (seed = (1664525 * seed + 1013904223) % 4294967296, (seed + 1) / 4294967297);
    return Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(draw())) * Math.cos(2 * Math.PI * draw()));
  }

  const input = (seed, decay) => normals(7919 * seed, T).map((z) => 0.6 * (1 - decay) + 0.5 * z);
  const fire = (slope) => (u) => (slope === Infinity ? Number(u >= 1) : 1 / (1 + Math.exp(-slope * (u - 1))));

  // Membrane with the resets of `given`; with null the neuron resets itself, which is the loop.
  function membrane(x, decay, given, f) {
    let v = 0;
    return x.map((c, t) => {
      const u = decay * v + c;
      v = u - (given ? given[t] : f(u));
      return u;
    });
  }

  function sweeps(x, decay, K, annealed) { // S^(K-1) and S^(K); before the first sweep nothing and everything
    const slopes = annealed ? [2, 6, 12] : [Infinity];
    let before = new Array(T).fill(1), now = new Array(T).fill(0);
    for (let k = 0; k < K; k++) {
      const f = fire(slopes[Math.min(k, slopes.length - 1)]);
      [before, now] = [now, membrane(x, decay, now).map(f)];
    }
    return [before, now];
  }

  function el(name, attributes, parent, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    parent.appendChild(node);
    return node;
  }

  const px = (t) => LEFT + (t / T) * (W - LEFT - 10), cell = px(1) - px(0);

  function draw(svg, state, note) {
    svg.replaceChildren();
    const defs = el("defs", {}, svg), hatch = el("pattern", { id: state.id + "-open", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, defs);
    el("line", { x1: 0, y1: 0, x2: 0, y2: 5, stroke: ORANGE, "stroke-width": 2 }, hatch);
    const x = input(state.seed, state.decay), exact = fire(state.annealed ? 12 : Infinity);
    const [before, now] = sweeps(x, state.decay, state.K, state.annealed);
    const one = membrane(x, state.decay, before), two = membrane(x, state.decay, now), truth = membrane(x, state.decay, null, exact);
    const low = one.map((u, t) => Math.min(u, two[t])), high = one.map((u, t) => Math.max(u, two[t]));
    const py = (u) => TOP + HEIGHT * (1 - (Math.max(-3, Math.min(4, u)) + 3) / 7);
    for (const [u, label] of [[1, "θ"], [0, "0"]]) {
      el("line", { x1: LEFT, x2: W - 10, y1: py(u), y2: py(u), stroke: "currentColor", "stroke-dasharray": u ? "5 4" : "none", opacity: 0.5 }, svg);
      el("text", { x: LEFT - 8, y: py(u) + 5, "text-anchor": "end", "font-size": 14, fill: "currentColor" }, svg, label);
    }
    el("text", { x: LEFT, y: 14, "font-size": 14, fill: "currentColor" }, svg, "membrane: band between two sweeps, dots: the loop");
    const steps = (values) => values.flatMap((u, t) => [px(t) + "," + py(u).toFixed(1), px(t + 1) + "," + py(u).toFixed(1)]);
    el("polygon", { points: steps(high).concat(steps(low).reverse()).join(" "), fill: BLUE, "fill-opacity": 0.25, stroke: BLUE, "stroke-width": 1 }, svg);
    let outside = 0, wrong = 0, proved = 0, shown = 0;
    truth.forEach((u, t) => {
      const inside = u >= low[t] - 1e-9 && u <= high[t] + 1e-9;
      outside += !inside;
      el("circle", { cx: px(t + 0.5), cy: py(u), r: inside ? 3 : 5, fill: inside ? "currentColor" : ORANGE }, svg);
    });
    el("text", { x: LEFT, y: ROW - 8, "font-size": 14, fill: "currentColor" }, svg, state.annealed ? "graded spikes of the last sweep (nothing is proved)" : "spikes: filled = proved spike, empty = proved silence, hatched = open");
    for (let t = 0; t < T; t++) {
      const box = { x: px(t) + 1, y: ROW, width: cell - 2, height: 30, stroke: "currentColor", "stroke-opacity": 0.6 };
      const agree = before[t] === now[t];
      if (state.annealed) el("rect", { ...box, fill: BLUE, "fill-opacity": now[t] }, svg);
      else el("rect", { ...box, fill: agree ? (now[t] ? BLUE : "none") : "url(#" + state.id + "-open)" }, svg);
      proved += agree;
      shown += now[t];
      wrong += now[t] !== exact(truth[t]);
    }
    const rate = truth.reduce((sum, u) => sum + exact(u), 0);
    note.textContent = state.annealed
      ? "Slopes 2, 6, 12, 12, …: " + outside + " of " + T + " dots lie outside the band. Agreement of two sweeps would prove nothing."
      : "K = " + state.K + ": " + proved + " of " + T + " steps proved, " + wrong + " wrong. The sweep has " + shown + " spikes, the loop " + rate + "." + (state.K ? (state.K % 2 ? " Odd K: never too few." : " Even K: never too many.") : " Before the first sweep nothing is known.");
  }

  function control(box, label, node, event, change) {
    const wrap = document.createElement("label"), out = document.createElement("output");
    wrap.style.cssText = "display:inline-block;margin:0 1.2em .4em 0";
    const show = () => { if (node.type === "range") out.textContent = " " + node.value; };
    node.addEventListener(event, () => { show(); change(node.type === "checkbox" ? node.checked : Number(node.value)); });
    show();
    wrap.append(label + " ", node, out);
    box.append(wrap);
  }

  const range = (min, max, step, value) => Object.assign(document.createElement("input"), { type: "range", min, max, step, value });

  function start(box) {
    const state = { id: box.id, decay: 0.5, K: 2, seed: 4, annealed: false }, controls = document.createElement("div");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), note = document.createElement("p");
    svg.setAttribute("viewBox", "0 0 " + W + " 290");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", "Band between two consecutive sweeps with the sequential membrane inside, and the proved spikes");
    svg.style.cssText = "width:100%;height:auto";
    note.setAttribute("aria-live", "polite");
    const set = (key) => (value) => { state[key] = value; draw(svg, state, note); };
    control(controls, "decay λ", range(0, 0.95, 0.05, 0.5), "input", set("decay"));
    control(controls, "evaluations K", range(0, MAXK, 1, 2), "input", set("K"));
    control(controls, "train", range(1, 9, 1, 4), "input", set("seed"));
    control(controls, "annealed slopes", Object.assign(document.createElement("input"), { type: "checkbox" }), "change", set("annealed"));
    box.append(controls, svg, note);
    draw(svg, state, note);
  }

  const begin = () => document.querySelectorAll(".closing-brackets").forEach((box) => box.childElementCount || start(box));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
