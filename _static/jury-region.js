/* Stability of a two-compartment neuron: sliders for decays and couplings; the stable region in the plane of the couplings,
   the two eigenvalues in the unit disc, the impulse responses. Plain JavaScript and SVG; no library, no network.
   Fills every <div class="jury-region">. */
(function () {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg", STEPS = 40, SIZE = 260, PAD = 30, REACH = 2;
  const START = { a1: 0.8, a2: 0.3, b1: -0.1, b2: -0.8 };
  const PRESETS = {
    "released start": START,
    "edge, b1 = −0.175": { a1: 0.8, a2: 0.3, b1: -0.175, b2: -0.8 },
    "decays below one, unstable": { a1: 0.8, a2: 0.3, b1: -0.5, b2: -0.8 },
    "decay above one, stable": { a1: 1.2, a2: 0.5, b1: -0.5, b2: 0.4 },
    "TC-LIF": { a1: 1, a2: 1, b1: -0.5, b2: 0.5 },
  };

  function el(name, attributes, parent, text) {
    const node = name === "svg" || parent instanceof SVGElement
      ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    parent.appendChild(node);
    return node;
  }

  function analyse(p) {
    const loop = p.b1 * p.b2, det = p.a1 * p.a2, trace = p.a1 + p.a2 + loop;
    const gaps = [1 - Math.abs(det), (1 - p.a1) * (1 - p.a2) - loop, (1 + p.a1) * (1 + p.a2) + loop];
    const disc = trace * trace / 4 - det, half = trace / 2, root = Math.sqrt(Math.abs(disc));
    const roots = disc >= 0 ? [[half + root, 0], [half - root, 0]] : [[half, root], [half, -root]];
    const d = [], s = [];
    let x = 1 - p.a1, y = 1 - p.a2 + p.b2 * (1 - p.a1);
    for (let t = 0; t < STEPS; t++) {
      d[t] = x; s[t] = y;
      const next = p.a1 * x + p.b1 * y;
      y = p.a2 * y + p.b2 * next;
      x = next;
    }
    return { gaps, roots, d, s, margin: Math.min(...gaps), radius: Math.max(...roots.map((r) => Math.hypot(r[0], r[1]))) };
  }

  function style() {
    if (document.getElementById("jury-region-style")) return;
    const css = document.createElement("style");
    css.id = "jury-region-style";
    css.textContent =
      ".jury-region{--dendrite:#0072B2;--soma:#D55E00;color:var(--pst-color-text-base,#222)}" +
      "html[data-theme=dark] .jury-region{--dendrite:#5BB4E5;--soma:#F0965A}" +
      ".jury-region .controls,.jury-region .panels{display:flex;flex-wrap:wrap;gap:.5rem 1.2rem;margin:.4rem 0}" +
      ".jury-region label{display:flex;flex-direction:column;flex:1 1 8rem;min-width:8rem;font-size:.9rem}" +
      ".jury-region input[type=range]{width:100%}" +
      ".jury-region figure{flex:1 1 11.4rem;min-width:11.4rem;max-width:22rem;margin:0}" +
      ".jury-region figcaption{font-size:.85rem}" +
      ".jury-region svg{width:100%;height:auto;display:block}" +
      ".jury-region output{display:block;font-size:.95rem;min-height:2.8em}";
    document.head.appendChild(css);
  }

  function panel(parent, id, title, caption) {
    const figure = el("figure", {}, parent);
    const svg = el("svg", { viewBox: "0 0 " + SIZE + " " + SIZE, role: "img", "aria-labelledby": id }, figure);
    el("title", { id }, svg, title);
    const scene = el("g", { "font-size": 11 }, svg);
    el("figcaption", {}, figure, caption);
    return scene;
  }

  function clear(scene) { while (scene.firstChild) scene.removeChild(scene.firstChild); }

  function axes(scene, px, py, low, high, labelX, labelY) {
    el("line", { x1: PAD, x2: SIZE - 6, y1: py(0), y2: py(0), stroke: "currentColor", "stroke-opacity": .5 }, scene);
    el("line", { x1: px(0), x2: px(0), y1: 6, y2: SIZE - PAD, stroke: "currentColor", "stroke-opacity": .5 }, scene);
    for (const value of [low, high]) {
      el("text", { x: px(value), y: SIZE - PAD + 14, fill: "currentColor", "text-anchor": "middle" }, scene, value);
      el("text", { x: PAD - 4, y: py(value) + 4, fill: "currentColor", "text-anchor": "end" }, scene, value);
    }
    el("text", { x: SIZE / 2 + 10, y: SIZE - 4, fill: "currentColor", "text-anchor": "middle" }, scene, labelX);
    el("text", { x: PAD + 6, y: 14, fill: "currentColor" }, scene, labelY);
  }

  function drawRegion(scene, p, result) {
    clear(scene);
    const span = SIZE - PAD - 12;
    const px = (v) => PAD + 6 + span * (v + REACH) / (2 * REACH);
    const py = (v) => 6 + span * (REACH - v) / (2 * REACH);
    const upper = (1 - p.a1) * (1 - p.a2), lower = -(1 + p.a1) * (1 + p.a2), columns = 120;
    if (Math.abs(p.a1 * p.a2) < 1 && lower < upper) {
      const shade = el("g", { opacity: .2 }, scene); // one opacity for the group, so that neighbouring columns leave no stripes
      for (let i = 0; i < columns; i++) {
        const b = -REACH + (i + .5) * 2 * REACH / columns;
        const ends = [lower / b, upper / b].sort((m, n) => m - n);
        const low = Math.max(-REACH, ends[0]), high = Math.min(REACH, ends[1]);
        if (high > low) {
          el("rect", { x: px(b) - span / columns / 2, width: span / columns + .3, y: py(high), height: py(low) - py(high),
            fill: "currentColor" }, shade);
        }
      }
    }
    axes(scene, px, py, -REACH, REACH, "b1 (soma to dendrite)", "b2");
    el("circle", { cx: px(p.b1), cy: py(p.b2), r: 5, fill: result.margin > 0 ? "currentColor" : "none",
      stroke: "currentColor", "stroke-width": 2 }, scene);
  }

  function drawRoots(scene, result) {
    clear(scene);
    const span = SIZE - PAD - 12, reach = 1.6;
    const px = (v) => PAD + 6 + span * (v + reach) / (2 * reach);
    const py = (v) => 6 + span * (reach - v) / (2 * reach);
    axes(scene, px, py, -1, 1, "real part", "imaginary part");
    el("circle", { cx: px(0), cy: py(0), r: px(1) - px(0), fill: "currentColor", "fill-opacity": .1, stroke: "currentColor" }, scene);
    for (const r of result.roots) {
      const x = Math.max(-reach, Math.min(reach, r[0])), y = Math.max(-reach, Math.min(reach, r[1]));
      el("path", { d: "M" + (px(x) - 5) + " " + (py(y) - 5) + "l10 10m0 -10l-10 10", stroke: "currentColor", "stroke-width": 2.4 }, scene);
    }
  }

  function drawResponse(scene, result) {
    clear(scene);
    const span = SIZE - PAD - 12, all = result.d.concat(result.s).map((v) => Math.min(1e3, Math.abs(v)));
    const top = Math.max(0.4, Math.min(10, Math.max(...all)));
    const px = (t) => PAD + 6 + span * t / STEPS;
    const py = (v) => 6 + span * (top - Math.max(-top, Math.min(top, v))) / (2 * top);
    el("line", { x1: PAD, x2: SIZE - 6, y1: py(0), y2: py(0), stroke: "currentColor", "stroke-opacity": .5 }, scene);
    for (const v of [-top, 0, top]) {
      el("text", { x: PAD, y: py(v) + 4, fill: "currentColor", "text-anchor": "end" }, scene, v.toFixed(1));
    }
    el("text", { x: SIZE / 2, y: SIZE - 4, fill: "currentColor", "text-anchor": "middle" }, scene, "steps after the impulse, 0 to " + (STEPS - 1));
    for (const [values, colour, dash, name, row] of [[result.d, "var(--dendrite)", "none", "dendrite", 16], [result.s, "var(--soma)", "5 3", "soma", 32]]) {
      const points = values.map((v, t) => px(t) + "," + py(v)).join(" ");
      el("polyline", { points, fill: "none", style: "stroke:" + colour, "stroke-width": 2.2, "stroke-dasharray": dash }, scene);
      el("text", { x: SIZE - 8, y: row, style: "fill:" + colour, "text-anchor": "end" }, scene, name);
    }
  }

  function build(box, index) {
    style();
    const id = "jury-" + index, p = Object.assign({}, START), sliders = {};
    const controls = el("div", { "class": "controls" }, box);
    for (const [key, text, low, high] of [["a1", "decay a1", 0, 1.4], ["a2", "decay a2", 0, 1.4],
      ["b1", "coupling b1", -REACH, REACH], ["b2", "coupling b2", -REACH, REACH]]) {
      const label = el("label", { "for": id + key }, controls);
      const caption = el("span", {}, label);
      const input = el("input", { id: id + key, type: "range", min: low, max: high, step: 0.005, value: p[key] }, label);
      sliders[key] = { input, show: () => { caption.textContent = text + " = " + p[key].toFixed(3); } };
      input.addEventListener("input", () => { p[key] = +input.value; draw(); });
    }
    const choose = el("label", { "for": id + "preset" }, controls);
    el("span", {}, choose, "go to");
    const select = el("select", { id: id + "preset" }, choose);
    for (const name in PRESETS) el("option", { value: name }, select, name);
    select.addEventListener("change", () => {
      Object.assign(p, PRESETS[select.value]);
      for (const key in sliders) sliders[key].input.value = p[key];
      draw();
    });
    const panels = el("div", { "class": "panels" }, box);
    const region = panel(panels, id + "t1", "Stable products of the couplings for these decays", "Shaded: stable couplings for these decays. Filled dot: stable.");
    const roots = panel(panels, id + "t2", "The two eigenvalues in the unit disc", "Crosses: the two eigenvalues. Inside the disc: stable.");
    const response = panel(panels, id + "t3", "Impulse response of dendrite and soma", "Response to one unit of input, spikes off.");
    const report = el("output", { "aria-live": "polite" }, box);

    function draw() {
      const result = analyse(p);
      for (const key in sliders) sliders[key].show();
      drawRegion(region, p, result); drawRoots(roots, result); drawResponse(response, result);
      const names = ["1 − |a1 a2|", "(1 − a1)(1 − a2) − b1 b2", "(1 + a1)(1 + a2) + b1 b2"];
      const tight = result.gaps.indexOf(result.margin);
      report.textContent = (result.margin > 1e-9 ? "Stable" : result.margin > -1e-9 ? "On the edge" : "Unstable") +
        ": spectral radius " + result.radius.toFixed(4) + ", margin " + result.margin.toFixed(3) + ", set by " + names[tight] + "." +
        (result.roots[0][1] ? " Complex pair: it rings with period " + (2 * Math.PI / Math.abs(Math.atan2(result.roots[0][1], result.roots[0][0]))).toFixed(1) + " steps." : "");
    }
    draw();
  }

  function start() { document.querySelectorAll(".jury-region").forEach((box, i) => { if (!box.firstChild) build(box, i); }); }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
