// Chapter 9: six starts of one neuron under one input, and time-chunks whose seams close round by round.
// float32 arithmetic (Math.fround after every operation), as in the loop the chapter talks about.
(function () {
  const T = 192, CHUNKS = 6, C = T / CHUNKS, STARTS = [0, 0.15, 0.35, 0.55, 0.75, 0.95];
  const TOP = 150, BAND = 116, LEFT = 44, f = Math.fround;
  let W = 720; // drawn in the pixels there are, so that text keeps its size on a phone
  const BLUE = "#3b82c4", ORANGE = "#d9822b";

  function noise() { // one fixed train of input: a small linear congruential generator, sums of three for a bell shape
    let seed = 12345;
    const draw = () => (seed = (1103515245 * seed + 12345) % 2147483648) / 2147483648;
    return Array.from({ length: T }, () => draw() + draw() + draw() - 1.5);
  }
  const NOISE = noise();

  function input(kind, decay) {
    return NOISE.map((z) => f(kind === "constant" ? 0.7 * 2 * (1 - decay) : 0.8 * (1 - decay) + z * Math.sqrt(1 - decay * decay)));
  }

  function run(x, decay, hard, v, from, to) {
    const before = [], after = [], spikes = [];
    for (let t = from; t < to; t++) {
      const u = f(f(decay * v) + x[t]), s = u >= 1;
      v = s ? (hard ? 0 : f(u - 1)) : u;
      before.push(u); after.push(v); spikes.push(s);
    }
    return { before, after, spikes, end: v };
  }

  // All rounds of chunk replay: starts, ends, accepted prefix, and the local test alone.
  function replay(x, decay, hard, v0) {
    let starts = Array.from({ length: CHUNKS }, (_, m) => (m ? 0 : v0));
    const rounds = [];
    for (let r = 0; r < CHUNKS; r++) {
      const runs = starts.map((v, m) => run(x, decay, hard, v, m * C, (m + 1) * C));
      const local = starts.map((v, m) => m === 0 || v === runs[m - 1].end);
      let accepted = 0;
      while (accepted < CHUNKS && local[accepted]) accepted++;
      rounds.push({ runs, local, accepted });
      if (accepted === CHUNKS) break;
      starts = starts.map((v, m) => (m ? runs[m - 1].end : v0));
    }
    return rounds;
  }

  function el(name, attributes, parent, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.appendChild(node);
    return node;
  }

  const px = (t) => LEFT + (t / T) * (W - LEFT - 8);

  function draw(svg, state) {
    W = Math.max(330, Math.min(720, state.width || 720));
    svg.setAttribute("viewBox", "0 0 " + W + " " + (TOP + BAND));
    svg.replaceChildren();
    const decay = f(state.decay), hard = state.reset === "hard", x = input(state.kind, decay);
    el("title", {}, svg, "Membranes from six starts, and chunk replay in round " + state.round);
    const defs = el("defs", {}, svg), hatch = el("pattern", { id: state.id + "-hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, defs);
    el("line", { x1: 0, y1: 0, x2: 0, y2: 6, stroke: ORANGE, "stroke-width": 2 }, hatch);
    const py = (v) => 12 + (TOP - 24) * (1 - (v + 0.6) / 1.8);
    el("text", { x: 4, y: 12, fill: "currentColor", "font-size": 12 }, svg, "state v");
    el("line", { x1: px(0), x2: px(T), y1: py(1), y2: py(1), stroke: "currentColor", "stroke-dasharray": "4 4", opacity: 0.6 }, svg);
    el("text", { x: 4, y: py(1) + 4, fill: "currentColor", "font-size": 12 }, svg, "θ");
    const paths = STARTS.map((v) => [v].concat(run(x, decay, hard, f(v), 0, T).after));
    let merged = 0;
    while (merged < T && new Set(paths.map((p) => p[merged])).size > 1) merged++;
    const joined = merged < T || new Set(paths.map((p) => p[T])).size === 1;
    paths.forEach((p, i) => {
      const points = p.map((v, t) => px(t).toFixed(1) + "," + py(Math.max(-0.6, Math.min(1.2, v))).toFixed(1)).join(" ");
      el("polyline", { points, fill: "none", stroke: i % 2 ? BLUE : ORANGE, "stroke-width": 1.6, opacity: 0.45 + 0.1 * i, "stroke-dasharray": i > 3 ? "5 2" : "none" }, svg);
    });
    if (joined) el("line", { x1: px(merged), x2: px(merged), y1: 8, y2: TOP - 8, stroke: "currentColor", "stroke-width": 1 }, svg);

    const rounds = replay(x, decay, hard, f(0.7)), shown = Math.min(state.round, rounds.length), now = rounds[shown - 1];
    const truth = run(x, decay, hard, f(0.7), 0, T), y0 = TOP + 22;
    let wrong = 0;
    for (let m = 0; m < CHUNKS; m++) {
      const ok = m < now.accepted, box = { x: px(m * C) + 1, y: y0, width: px(C) - px(0) - 2, height: 60, stroke: ok ? BLUE : ORANGE, "stroke-width": 2 };
      el("rect", { ...box, fill: ok ? BLUE : "none", "fill-opacity": 0.15 }, svg);
      if (!ok && now.local[m]) { wrong++; el("rect", { ...box, fill: "url(#" + state.id + "-hatch)", "fill-opacity": 0.35 }, svg); }
      el("text", { x: px((m + 0.5) * C), y: y0 + 15, "text-anchor": "middle", fill: "currentColor", "font-size": 12 }, svg, ok ? "proved" : now.local[m] ? "match" : "open");
      now.runs[m].spikes.forEach((s, k) => s && el("line", { x1: px(m * C + k + 0.5), x2: px(m * C + k + 0.5), y1: y0 + 24, y2: y0 + 54, stroke: ok ? BLUE : ORANGE, "stroke-width": 1.6 }, svg));
    }
    truth.spikes.forEach((s, t) => s && el("line", { x1: px(t + 0.5), x2: px(t + 0.5), y1: y0 + 68, y2: y0 + 84, stroke: "currentColor", "stroke-width": 1.6 }, svg));
    el("text", { x: 4, y: y0 + 44, fill: "currentColor", "font-size": 12 }, svg, "replay");
    el("text", { x: 4, y: y0 + 80, fill: "currentColor", "font-size": 12 }, svg, "loop");
    state.say.textContent = (joined ? "All six starts are bit-equal after " + merged + " steps. " : "The six starts do not all merge within " + T + " steps. ") +
      "Round " + shown + " of " + rounds.length + ": " + now.accepted + " of " + CHUNKS + " chunks proved" +
      (wrong ? "; " + wrong + " more match their neighbour's end and are not proved." : ".") ;
    state.rounds.max = rounds.length;
    state.rounds.value = shown;
  }

  function control(parent, label, node) {
    const wrap = document.createElement("label");
    wrap.style.cssText = "margin-right:1.2em;white-space:nowrap;display:inline-block";
    wrap.append(label + " ", node);
    parent.appendChild(wrap);
    return node;
  }
  function slider(min, max, step, value) {
    const node = document.createElement("input");
    Object.assign(node, { type: "range", min, max, step, value });
    node.style.verticalAlign = "middle";
    return node;
  }
  function select(options) {
    const node = document.createElement("select");
    options.forEach((o) => node.add(new Option(o, o)));
    return node;
  }

  document.querySelectorAll(".coalescence").forEach((root) => {
    if (root.childElementCount) return;
    const bar = document.createElement("div"), say = document.createElement("p"), value = document.createElement("output");
    const decay = control(bar, "decay", slider(0.3, 0.98, 0.01, 0.7));
    decay.after(" ", value);
    const reset = control(bar, "reset", select(["soft", "hard"]));
    const kind = control(bar, "input", select(["random", "constant"]));
    const rounds = control(bar, "round", slider(1, CHUNKS, 1, 1));
    const svg = el("svg", { width: "100%", role: "img" });
    say.setAttribute("aria-live", "polite");
    root.append(bar, svg, say);
    const update = () => {
      value.textContent = Number(decay.value).toFixed(2);
      draw(svg, { id: root.id, decay: Number(decay.value), reset: reset.value, kind: kind.value, round: Number(rounds.value), rounds, say, width: root.clientWidth });
    };
    [decay, reset, kind].forEach((node) => node.addEventListener("input", () => { rounds.max = CHUNKS; rounds.value = 1; update(); }));
    rounds.addEventListener("input", update);
    window.addEventListener("resize", update);
    update();
  });
})();
