// Chapter 15: spikes moved in time change no logit of a read-out that averages over time; spikes lost do.
(function () {
  const T = 28, M = 8, CELL = 14, LEFT = 8, TOP = 30, BARS = LEFT + T * CELL + 40, WIDE = 640, HIGH = TOP + M * CELL + 12;
  const ORANGE = "#d9822b", CLASSES = ["A", "B", "C"];

  function uniforms(seed, count) { // a small linear congruential generator: the same trains for every reader
    return Array.from({ length: count }, () => (seed = (1664525 * seed + 1013904223) % 4294967296) / 4294967296);
  }

  const chance = uniforms(11, M * T), order = uniforms(5, M * T);
  const trains = Array.from({ length: M }, (_, m) => Array.from({ length: T }, (_, t) => Number(chance[m * T + t] < 0.15 + 0.06 * m)));
  const head = [[-1, -1, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0.5, 0.5], [2, 1, 1, 0, 0, 1, 0, 0]], bias = [0.15, 0, 0];

  // Every spike `late` steps later (around the end), then `lost` of every ten spikes of the train left out.
  function changed(late, lost) {
    return trains.map((train, m) => {
      const moved = train.map((_, t) => train[(t - late + T) % T]);
      const places = moved.map((s, t) => (s ? t : -1)).filter((t) => t >= 0).sort((a, b) => order[m * T + a] - order[m * T + b]);
      places.slice(0, Math.round((places.length * lost) / 10)).forEach((t) => (moved[t] = 0));
      return moved;
    });
  }

  const logits = (s) => head.map((row, c) => row.reduce((sum, w, m) => sum + (w * s[m].reduce((a, b) => a + b, 0)) / T, bias[c]));
  const best = (z) => z.indexOf(Math.max(...z));

  function el(name, attributes, parent, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    parent.appendChild(node);
  }

  function draw(svg, note, late, lost) {
    svg.replaceChildren();
    const now = changed(late, lost), z = logits(trains), z2 = logits(now);
    let differ = 0;
    el("text", { x: LEFT, y: 18, "font-size": 19, fill: "currentColor" }, svg, "eight neurons, 28 steps");
    el("text", { x: BARS, y: 18, "font-size": 19, fill: "currentColor" }, svg, "logits");
    for (let m = 0; m < M; m++) {
      for (let t = 0; t < T; t++) {
        const was = trains[m][t], is = now[m][t], box = { x: LEFT + t * CELL + 1, y: TOP + m * CELL + 1, width: CELL - 3, height: CELL - 3 };
        differ += Number(was !== is);
        if (was && is) el("rect", { ...box, fill: "currentColor" }, svg);
        else if (was) el("rect", { ...box, fill: "none", stroke: "currentColor", "stroke-dasharray": "2 2" }, svg);
        else if (is) el("rect", { ...box, fill: ORANGE }, svg);
        else el("circle", { cx: box.x + CELL / 2 - 1.5, cy: box.y + CELL / 2 - 1.5, r: 0.8, fill: "currentColor", opacity: 0.5 }, svg);
      }
    }
    CLASSES.forEach((name, c) => {
      const y = TOP + 10 + c * 34, scale = 55, zero = BARS + 24;
      el("text", { x: BARS, y: y + 16, "font-size": 19, fill: "currentColor", "font-weight": c === best(z2) ? "bold" : "normal" }, svg, name);
      el("rect", { x: zero, y, width: Math.max(0, z2[c]) * scale, height: 18, fill: c === best(z2) ? ORANGE : "currentColor", opacity: c === best(z2) ? 1 : 0.45 }, svg);
      el("line", { x1: zero + z[c] * scale, x2: zero + z[c] * scale, y1: y - 4, y2: y + 22, stroke: "currentColor", "stroke-width": 2 }, svg);
    });
    const change = Math.max(...z.map((v, c) => Math.abs(v - z2[c])));
    const answer = best(z) === best(z2) ? `the answer stays ${CLASSES[best(z)]}` : `the answer changes from ${CLASSES[best(z)]} to ${CLASSES[best(z2)]}`;
    note.textContent = `Mismatch ${Math.round((100 * differ) / (M * T))} %; the largest change of a logit is ${change.toFixed(2)}; ${answer}.`;
  }

  const figure = document.getElementById("accuracy-rates-figure");
  if (!figure) return;
  figure.innerHTML =
    `<svg viewBox="0 0 ${WIDE} ${HIGH}" role="img" aria-label="Spike trains of eight neurons before and after a change, and three logits" style="width:100%;height:auto"></svg>` +
    '<div style="display:flex;flex-wrap:wrap;gap:0.5rem 1.5rem"><label style="flex:1 1 12rem">every spike later by <output>0</output> steps <input type="range" min="0" max="9" value="3" style="width:100%"></label>' +
    '<label style="flex:1 1 12rem">spikes lost, of ten: <output>0</output> <input type="range" min="0" max="9" value="0" style="width:100%"></label></div><p aria-live="polite"></p>';
  const [late, lost] = figure.querySelectorAll("input"), marks = figure.querySelectorAll("output");
  const update = () => {
    [late, lost].forEach((slider, i) => (marks[i].textContent = slider.value));
    draw(figure.querySelector("svg"), figure.querySelector("p"), Number(late.value), Number(lost.value));
  };
  [late, lost].forEach((slider) => slider.addEventListener("input", update));
  update();
})();
