/* Pole of a resonator, its impulse response and its gain: two sliders, three small pictures.
   Plain JavaScript and SVG; no library, no network. Fills every <div class="poles">. */
(function () {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg", W = 340, H = 240, STEPS = 48;
  const MAIN = "var(--pst-color-primary, #0f4c81)", WARM = "var(--pst-color-secondary, #b4540a)";

  function el(name, attributes, parent, text) {
    const svg = name === "svg" || parent instanceof SVGElement;
    const node = svg ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    parent.appendChild(node);
    return node;
  }

  /* |1/(1 - p e^{-i phi}) + 1/(1 - conj(p) e^{-i phi})| / 2 for p = decay e^{i angle} */
  function gain(decay, angle, phi) {
    let re = 0, im = 0;
    for (const sign of [1, -1]) {
      const a = 1 - decay * Math.cos(sign * angle - phi), b = -decay * Math.sin(sign * angle - phi);
      const size = a * a + b * b;
      re += a / size / 2;
      im -= b / size / 2;
    }
    return Math.hypot(re, im);
  }

  function style() {
    if (document.getElementById("poles-style")) return;
    const css = document.createElement("style");
    css.id = "poles-style";
    css.textContent =
      ".poles .row{display:flex;flex-wrap:wrap;gap:.6rem 1.2rem;margin:.4rem 0}" +
      ".poles label{display:flex;flex-direction:column;flex:1 1 12rem;font-size:.95rem}" +
      ".poles input[type=range]{width:100%}" +
      ".poles svg{flex:1 1 15rem;min-width:14rem;max-width:26rem;height:auto;color:var(--pst-color-text-base,#222)}" +
      ".poles output{display:block;font-size:.95rem;margin-bottom:1.2rem}";
    document.head.appendChild(css);
  }

  function slider(row, id, name, max, step, value) {
    const label = el("label", { "for": id }, row);
    const caption = el("span", {}, label, "");
    const input = el("input", { id, type: "range", min: 0, max, step, value }, label);
    return { input, value: () => +input.value, show: (text) => { caption.textContent = name + " = " + text; } };
  }

  function panel(row, id, title) {
    const svg = el("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-labelledby": id }, row);
    el("title", { id }, svg, title);
    el("text", { x: 8, y: 18, "font-size": 18, "font-weight": 600, fill: "currentColor" }, svg, title);
    return el("g", {}, svg);
  }

  function clear(scene) { while (scene.firstChild) scene.removeChild(scene.firstChild); }

  function line(scene, x1, y1, x2, y2, extra) {
    el("line", Object.assign({ x1, y1, x2, y2, stroke: "currentColor", "stroke-width": 1, opacity: 0.5 }, extra), scene);
  }

  function note(scene, x, y, text, anchor) {
    el("text", { x, y, "font-size": 16, fill: "currentColor", "text-anchor": anchor || "start" }, scene, text);
  }

  function drawPole(scene, decay, angle) {
    clear(scene);
    const cx = W / 2, cy = 130, r = 92;
    el("circle", { cx, cy, r, fill: "none", stroke: "currentColor", "stroke-width": 1.2 }, scene);
    line(scene, cx - r - 14, cy, cx + r + 14, cy);
    line(scene, cx, cy - r - 10, cx, cy + r + 10);
    for (const sign of [-1, 1]) {
      const x = cx + r * decay * Math.cos(angle), y = cy - sign * r * decay * Math.sin(angle);
      line(scene, cx, cy, x, y, { stroke: MAIN, opacity: sign > 0 ? 1 : 0.35 });
      for (const s of [-1, 1]) line(scene, x - 6, y - 6 * s, x + 6, y + 6 * s, { stroke: MAIN, "stroke-width": 3, opacity: 1 });
    }
    note(scene, cx + r + 4, cy - 6, "1");
    note(scene, W - 6, H - 6, "unit circle", "end");
  }

  function drawResponse(scene, decay, angle) {
    clear(scene);
    const px = (m) => 26 + (W - 36) * m / STEPS, py = (y) => 126 - 88 * y;
    line(scene, 22, py(0), W - 6, py(0));
    for (let m = 0; m <= STEPS; m++) {
      const y = Math.pow(decay, m) * Math.cos(angle * m);
      line(scene, px(m), py(0), px(m), py(y), { stroke: MAIN, opacity: 0.9, "stroke-width": 1.6 });
      el("circle", { cx: px(m), cy: py(y), r: 2.4, fill: MAIN }, scene);
    }
    note(scene, 18, py(1) + 5, "1", "end");
    note(scene, 18, py(0) + 5, "0", "end");
    note(scene, W - 6, H - 6, "steps after the input: 0 to " + STEPS, "end");
  }

  function drawGain(scene, decay, angle) {
    clear(scene);
    const points = [], top = Math.max(2, 1.1 / (1 - decay));
    const px = (phi) => 26 + (W - 36) * phi / Math.PI, py = (g) => 212 - 176 * g / top;
    line(scene, 26, py(0), W - 8, py(0));
    line(scene, px(angle), py(0), px(angle), 34, { stroke: WARM, "stroke-dasharray": "5 4", opacity: 1 });
    for (let i = 0; i <= 240; i++) {
      const phi = Math.PI * i / 240;
      points.push(px(phi).toFixed(1) + "," + py(gain(decay, angle, phi)).toFixed(1));
    }
    el("polyline", { points: points.join(" "), fill: "none", stroke: MAIN, "stroke-width": 2.4 }, scene);
    note(scene, 20, 217, "0", "end");
    note(scene, 30, 48, "largest " + top.toFixed(1));
    note(scene, W - 6, H - 8, "angle of the input: 0 to π", "end");
  }

  function build(box, index) {
    style();
    const id = "poles-" + index;
    const controls = el("div", { "class": "row" }, box);
    const decay = slider(controls, id + "-decay", "decay λ", 0.98, 0.01, 0.9);
    const angle = slider(controls, id + "-angle", "angle ω (radians per step)", 3.14, 0.01, 0.6);
    const row = el("div", { "class": "row" }, box);
    const scenes = [panel(row, id + "-a", "pole λe^(±iω)"), panel(row, id + "-b", "impulse response"), panel(row, id + "-c", "gain")];
    const report = el("output", { "for": id + "-decay " + id + "-angle", "aria-live": "polite" }, box);

    function draw() {
      const d = decay.value(), w = angle.value();
      decay.show(d.toFixed(2));
      angle.show(w.toFixed(2));
      [drawPole, drawResponse, drawGain].forEach((paint, i) => paint(scenes[i], d, w));
      const period = w > 0.005 ? "one turn every " + (2 * Math.PI / w).toFixed(1) + " steps" : "no turning: a leaky neuron";
      report.textContent = "Memory " + (1 / (1 - d)).toFixed(1) + " steps; " + period + "; gain " +
        gain(d, w, w).toFixed(2) + " at its own angle and " + gain(d, w, 0).toFixed(2) + " for constant input.";
    }
    for (const control of [decay, angle]) control.input.addEventListener("input", draw);
    draw();
  }

  function start() { document.querySelectorAll(".poles").forEach(build); }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
