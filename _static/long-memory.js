/* How far back a stack of leaky neurons hears: the picture as it is read pixel by pixel, shaded by memory.
   Plain JavaScript and SVG; no library, no network. Fills every <div class="long-memory">. */
(function () {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg", SIDE = 28, STEPS = SIDE * SIDE, CELL = 12, W = SIDE * CELL;
  const MAIN = "var(--pst-color-primary, #0f4c81)", WARM = "var(--pst-color-secondary, #b4540a)";

  function el(name, attributes, parent, text) {
    const svg = name === "svg" || parent instanceof SVGElement;
    const node = svg ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    parent.appendChild(node);
    return node;
  }

  /* Weight of an input k steps ago after `layers` leaks in a row: binom(k + layers - 1, layers - 1) decay^k. */
  function kernel(decay, layers) {
    const weights = new Float64Array(STEPS);
    weights[0] = 1;
    for (let k = 1; k < STEPS; k++) weights[k] = weights[k - 1] * decay * (k + layers - 1) / k;
    return weights;
  }

  /* The fewest last steps that carry this share of all the weight there is (of an endless past). */
  function stepsOfShare(weights, decay, layers, share) {
    const total = Math.pow(1 - decay, -layers);
    let sum = 0;
    for (let k = 0; k < STEPS; k++) {
      sum += weights[k];
      if (sum >= share * total) return String(k + 1);
    }
    return "more than " + STEPS;
  }

  /* A fixed shuffle of the pixels. */
  function shuffled() {
    const order = Array.from({ length: STEPS }, (_, i) => i);
    let seed = 12345;
    for (let i = STEPS - 1; i > 0; i--) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      const j = Math.floor(seed / 4294967296 * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  function style() {
    if (document.getElementById("long-memory-style")) return;
    const css = document.createElement("style");
    css.id = "long-memory-style";
    css.textContent =
      ".long-memory .row{display:flex;flex-wrap:wrap;gap:.6rem 1.2rem;margin:.4rem 0}" +
      ".long-memory label{display:flex;flex-direction:column;flex:1 1 12rem;font-size:.95rem}" +
      ".long-memory label.tick{flex-direction:row;align-items:center;gap:.5rem}" +
      ".long-memory input[type=range]{width:100%}" +
      ".long-memory svg{flex:1 1 16rem;max-width:24rem;height:auto;color:var(--pst-color-text-base,#222)}" +
      ".long-memory output{flex:1 1 14rem;font-size:.95rem;line-height:1.5}";
    document.head.appendChild(css);
  }

  function slider(row, id, min, max, step, value) {
    const label = el("label", { "for": id }, row);
    const caption = el("span", {}, label, "");
    const input = el("input", { id, type: "range", min, max, step, value }, label);
    return { input, value: () => +input.value, show: (text) => { caption.textContent = text; } };
  }

  function build(box, index) {
    style();
    const id = "long-memory-" + index;
    const controls = el("div", { "class": "row" }, box);
    const horizon = slider(controls, id + "-decay", 0.3, 2.7, 0.01, 1);
    const layers = slider(controls, id + "-layers", 1, 3, 1, 1);
    const now = slider(controls, id + "-now", 1, STEPS, 1, 496);
    const tick = el("label", { "class": "tick", "for": id + "-mixed" }, controls);
    const mixed = el("input", { id: id + "-mixed", type: "checkbox" }, tick);
    el("span", {}, tick, "permuted order");
    const row = el("div", { "class": "row" }, box);
    const svg = el("svg", { viewBox: `-2 -2 ${W + 4} ${W + 4}`, role: "img", "aria-labelledby": id + "-title" }, row);
    el("title", { id: id + "-title" }, svg, "Pixels of a 28 by 28 picture, darker where the neuron's membrane still feels them");
    const cells = [];
    for (let i = 0; i < STEPS; i++) {
      const x = (i % SIDE) * CELL, y = Math.floor(i / SIDE) * CELL;
      el("rect", { x, y, width: CELL - 1, height: CELL - 1, fill: "none", stroke: "currentColor", "stroke-width": 0.5, opacity: 0.25 }, svg);
      cells.push(el("rect", { x, y, width: CELL - 1, height: CELL - 1, fill: MAIN, "fill-opacity": 0 }, svg));
    }
    const mark = el("rect", { width: CELL + 1, height: CELL + 1, fill: "none", stroke: WARM, "stroke-width": 3 }, svg);
    const report = el("output", { "for": [id + "-decay", id + "-layers", id + "-now"].join(" "), "aria-live": "polite" }, row);
    const plain = Array.from({ length: STEPS }, (_, i) => i), mixture = shuffled();

    function draw() {
      const tau = Math.pow(10, horizon.value()), decay = 1 - 1 / tau, depth = layers.value(), t = now.value() - 1;
      const order = mixed.checked ? mixture : plain, weights = kernel(decay, depth);
      const top = Math.max(...weights);
      cells.forEach((cell) => cell.setAttribute("fill-opacity", 0));
      for (let k = 0; k <= t; k++) cells[order[t - k]].setAttribute("fill-opacity", (weights[k] / top).toFixed(3));
      const here = order[t];
      mark.setAttribute("x", (here % SIDE) * CELL - 1);
      mark.setAttribute("y", Math.floor(here / SIDE) * CELL - 1);
      horizon.show("decay λ = " + decay.toFixed(decay > 0.985 ? 4 : 3) + ", horizon " + tau.toFixed(tau < 10 ? 1 : 0) + " steps");
      layers.show("layers in a row: " + depth);
      now.show("step t = " + (t + 1) + " of " + STEPS);
      const above = here - SIDE, lag = above < 0 ? -1 : t - order.indexOf(above);
      report.textContent = "Half of the weight lies in the last " + stepsOfShare(weights, decay, depth, 0.5) +
        " pixels, nine tenths in the last " + stepsOfShare(weights, decay, depth, 0.9) + ". " +
        (above < 0 ? "There is no pixel above this one." :
          lag < 0 ? "The pixel above this one has not been read yet." :
            "The pixel above was read " + lag + " steps ago; its weight is " + (100 * weights[lag] / top).toPrecision(2) + " % of the largest.");
    }
    for (const control of [horizon.input, layers.input, now.input, mixed]) control.addEventListener("input", draw);
    draw();
  }

  function start() { document.querySelectorAll(".long-memory").forEach(build); }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
