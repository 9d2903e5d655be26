/* Voltage trace of one leaky integrate-and-fire neuron: sliders for decay and drive, a choice of reset.
   Plain JavaScript and SVG; no library, no network. Fills every <div class="lif-trace">. */
(function () {
  "use strict";
  const T = 60, THETA = 1, W = 720, H = 300, LEFT = 44, RIGHT = 10, TOP = 34, BOTTOM = 34;
  const SVG = "http://www.w3.org/2000/svg";

  /* A fixed, reproducible ripple in [-1, 1], so that every reader sees the same input. */
  function ripple(t) { return 0.7 * Math.sin(0.55 * t) + 0.3 * Math.sin(2.3 * t + 1); }

  function simulate(decay, drive, reset) {
    const u = [], v = [], free = [], s = [];
    let last = 0, unreset = 0;
    for (let t = 0; t < T; t++) {
      const x = drive * (1 + 0.8 * ripple(t));
      u[t] = decay * last + x;
      free[t] = unreset = decay * unreset + x;
      s[t] = u[t] >= THETA ? 1 : 0;
      if (reset === "soft") v[t] = u[t] - THETA * s[t];
      else if (reset === "hard") v[t] = s[t] ? 0 : u[t];
      else v[t] = u[t];
      last = v[t];
    }
    return { u, v, free, s };
  }

  function el(name, attributes, parent, text) {
    const node = name === "svg" || parent instanceof SVGElement
      ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    parent.appendChild(node);
    return node;
  }

  function slider(box, id, label, min, max, step, value) {
    const cell = el("label", { "for": id, "class": "lif-cell" }, box);
    const caption = el("span", {}, cell, "");
    const input = el("input", { id, type: "range", min, max, step, value }, cell);
    return { input, show: () => { caption.textContent = label + " = " + Number(input.value).toFixed(2); } };
  }

  function style() {
    if (document.getElementById("lif-trace-style")) return;
    const css = document.createElement("style");
    css.id = "lif-trace-style";
    css.textContent =
      ".lif-trace svg{width:100%;height:auto;display:block;color:var(--pst-color-text-base,#222)}" +
      ".lif-trace .controls{display:flex;flex-wrap:wrap;gap:.6rem 1.4rem;margin:.4rem 0}" +
      ".lif-trace .lif-cell{display:flex;flex-direction:column;flex:1 1 9rem;min-width:9rem;font-size:.9rem}" +
      ".lif-trace input[type=range]{width:100%}" +
      ".lif-trace output{display:block;font-size:.9rem}";
    document.head.appendChild(css);
  }

  function build(box, index) {
    if (box.dataset.built) return; /* the script may be loaded twice: by the page and by the theme */
    box.dataset.built = "yes";
    style();
    const id = "lif-" + index;
    const controls = el("div", { "class": "controls" }, box);
    const decay = slider(controls, id + "-decay", "decay λ", 0, 1, 0.01, 0.8);
    const drive = slider(controls, id + "-drive", "mean drive", 0, 1.2, 0.01, 0.36);
    const cell = el("label", { "for": id + "-reset", "class": "lif-cell" }, controls);
    el("span", {}, cell, "reset");
    const reset = el("select", { id: id + "-reset" }, cell);
    for (const name of ["soft", "hard", "none"]) el("option", { value: name }, reset, name);
    const svg = el("svg", { viewBox: "0 0 " + W + " " + H, role: "img", "aria-labelledby": id + "-title" }, box);
    el("title", { id: id + "-title" }, svg, "Membrane of one neuron over " + T + " steps, with and without reset");
    const scene = el("g", {}, svg);
    const report = el("output", { "for": id + "-decay " + id + "-drive " + id + "-reset", "aria-live": "polite" }, box);

    function draw() {
      decay.show(); drive.show();
      const run = simulate(+decay.input.value, +drive.input.value, reset.value);
      while (scene.firstChild) scene.removeChild(scene.firstChild);
      const high = Math.min(8, Math.max(1.6, ...run.free, ...run.u));
      const low = Math.min(0, ...run.v);
      const px = (t) => LEFT + (W - LEFT - RIGHT) * t / T;
      const py = (y) => TOP + (H - TOP - BOTTOM) * (high - Math.min(y, high)) / (high - low);
      const line = (y, dash, label) => {
        el("line", { x1: LEFT, x2: W - RIGHT, y1: py(y), y2: py(y), stroke: "currentColor",
          "stroke-width": 1, "stroke-dasharray": dash, opacity: 0.6 }, scene);
        el("text", { x: LEFT - 6, y: py(y) + 4, "text-anchor": "end", "font-size": 13, fill: "currentColor" }, scene, label);
      };
      line(0, "none", "0");
      line(THETA, "6 4", "θ");
      const path = [], free = [];
      let before = 0;
      for (let t = 0; t < T; t++) {
        const leak = before * +decay.input.value;
        path.push([px(t), py(before)], [px(t + 0.9), py(leak)], [px(t + 0.9), py(run.u[t])], [px(t + 1), py(run.v[t])]);
        free.push([px(t + 0.9), py(run.free[t])]);
        before = run.v[t];
        if (run.s[t]) {
          el("line", { x1: px(t + 0.9), x2: px(t + 0.9), y1: 8, y2: 24,
            stroke: "var(--pst-color-primary, #0a7d91)", "stroke-width": 3 }, scene);
        }
      }
      const points = (list) => list.map((p) => p[0].toFixed(1) + "," + p[1].toFixed(1)).join(" ");
      el("polyline", { points: points(free), fill: "none", stroke: "currentColor",
        "stroke-width": 1.6, "stroke-dasharray": "2 4" }, scene);
      el("polyline", { points: points(path), fill: "none", stroke: "var(--pst-color-primary, #0a7d91)",
        "stroke-width": 2.4, "stroke-linejoin": "round" }, scene);
      el("text", { x: LEFT - 6, y: 21, "text-anchor": "end", "font-size": 13, fill: "currentColor" }, scene, "spikes");
      el("text", { x: W - RIGHT, y: H - 10, "text-anchor": "end", "font-size": 13, fill: "currentColor" }, scene, "time step (0 to " + T + ")");
      const count = run.s.reduce((a, b) => a + b, 0);
      const gap = Math.max(...run.free.map((b, t) => b - run.u[t]));
      report.textContent = count + " spikes in " + T + " steps; the reset-free membrane is at most " + gap.toFixed(2) +
        " thresholds above the membrane" + (Math.max(...run.free) > high ? " (cut off at " + high + ")" : "") + ".";
    }
    for (const control of [decay.input, drive.input, reset]) control.addEventListener("input", draw);
    draw();
  }

  function start() { document.querySelectorAll(".lif-trace").forEach(build); }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
