// Puts the parts together, and listens.

function listenToPointer(view, drawing) {
  const canvas = drawing.canvas;
  let drag = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    const [x] = place(event);
    drag = { x, from: view.from, to: view.to, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (!drag) return drawing.hover(x, y, event.clientX, event.clientY);
    if (Math.abs(x - drag.x) > 3) drag.moved = true;
    if (!drag.moved) return;
    canvas.classList.add("dragged");
    const by = (drag.x - x) * (drag.to - drag.from) / drawing.width();
    view.show(drag.from + by, drag.to + by);
  });
  const end = (event) => {
    if (drag && !drag.moved && event.type === "pointerup") {
      const hit = drawing.hit(...place(event));
      if (hit) view.select(hit);
    }
    drag = null;
    canvas.classList.remove("dragged");
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", () => drawing.hover(-1, -1, 0, 0));
  canvas.addEventListener("wheel", (event) => {
    const [x] = place(event);
    if (event.ctrlKey || event.metaKey) {
      view.zoom(Math.exp(event.deltaY * 0.003), drawing.timeAt(x));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      view.pan((event.deltaX || event.deltaY) / drawing.width());
    } else return;
    event.preventDefault();
  }, { passive: false });
}

function listenToKeys(view) {
  const acts = {
    ArrowLeft: () => view.pan(-0.1), ArrowRight: () => view.pan(0.1),
    PageUp: () => view.pan(-0.9), PageDown: () => view.pan(0.9),
    Home: () => view.show(0, view.to - view.from),
    End: () => view.show(view.model.end - (view.to - view.from) * 0.95, view.model.end * 1.02),
    "+": () => view.zoom(0.7), "=": () => view.zoom(0.7), "-": () => view.zoom(1 / 0.7),
    0: () => view.showAll(), f: () => view.showInteresting(),
    n: () => view.step(1), p: () => view.step(-1), Escape: () => view.select(null),
  };
  // Letters work anywhere but where one types; keys that scroll only on the timeline.
  const anywhere = new Set(["+", "=", "-", "0", "f", "n", "p", "Escape"]);
  document.addEventListener("keydown", (event) => {
    const types = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (types && event.target.type !== "checkbox") return;
    if (event.target.id !== "timeline" && !anywhere.has(event.key)) return;
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function listenToMap(view, map) {
  let held = false;
  const move = (event) => {
    const box = map.getBoundingClientRect();
    const share = (event.clientX - box.left - GUTTER) / (box.width - GUTTER);
    const at = share * view.model.end * 1.02;
    const half = (view.to - view.from) / 2;
    view.show(at - half, at + half);
  };
  map.addEventListener("pointerdown", (event) => {
    held = true;
    map.setPointerCapture(event.pointerId);
    move(event);
  });
  map.addEventListener("pointermove", (event) => { if (held) move(event); });
  map.addEventListener("pointerup", () => { held = false; });
  map.addEventListener("pointercancel", () => { held = false; });
}

function fillTools(view, model, palette) {
  const acts = {
    out: () => view.zoom(1 / 0.6), in: () => view.zoom(0.6), all: () => view.showAll(),
    failure: () => view.showInteresting(), previous: () => view.step(-1),
    next: () => view.step(1),
  };
  for (const [id, act] of Object.entries(acts)) element(id).addEventListener("click", act);
  element("failure").disabled = model.seen === null;
  const marks = MARKS.map(([kind, name]) => [kind, name, kind === "apply" ? "apply" : "record"]);
  const families = model.families.map((family) => [family, family, palette.name(family)]);
  for (const [kind, name, color] of [...families, ...marks]) {
    const label = make("label");
    const box = make("input");
    box.type = "checkbox";
    box.checked = !view.hidden.has(kind);
    box.addEventListener("change", () => view.toggle(kind));
    const swatch = make("i");
    swatch.style.background = `var(--${color})`;
    label.append(box, swatch, name);
    element("kinds").append(label);
  }
}

function showDetails(model, event) {
  const details = element("details");
  details.replaceChildren();
  if (!event) {
    const hint = "Nothing is selected. Click an event, or press n.";
    details.append(make("span", hint));
    return;
  }
  const at = event.node ? `, node ${event.node}` : "";
  details.append(make("b", `${milliseconds(event.time)}${at}: ${event.kind}`));
  details.append(make("span", model.describe(event), "text"));
}

function start() {
  const model = new Model(JSON.parse(element("run").textContent));
  const palette = new Palette(model.families);
  const view = new View(model, () => {
    drawing.draw();
    drawMap(element("map"), view, palette);
  });
  const drawing = new Drawing(element("timeline"), view, palette);
  const list = new List(model, view);
  fillHead(model, (event) => view.select(event));
  fillTools(view, model, palette);
  listenToPointer(view, drawing);
  listenToKeys(view);
  listenToMap(view, element("map"));
  view.listeners.push((event) => showDetails(model, event), (event) => list.follow(event));
  showDetails(model, null);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    palette.read();
    view.touch();
  });
  new ResizeObserver(() => view.touch()).observe(element("timeline").parentElement);
}

start();
