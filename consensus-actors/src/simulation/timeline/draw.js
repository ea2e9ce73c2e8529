// The timeline's canvas: rows of faults and calls, then the lanes. Only what can be seen is drawn.

const AXIS = 22;
const BAR = 18;
const FOOT = 20;
const FAULT_ROWS_MAX = 4;
const CALL_ROWS_MAX = 5;
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

// The page's colours, which follow the reader's scheme.
class Palette {
  constructor(families) {
    // Heartbeats are background; the others get what is left, in the order of their names.
    const names = ["first", "second", "fourth", "fifth", "sixth"];
    const others = families.filter((family) => !family.startsWith("Heartbeat"));
    this.names = new Map(others.map((family, place) => [family, names[place % names.length]]));
    this.read();
  }

  read() {
    this.style = getComputedStyle(document.documentElement);
    this.colors = new Map();
    this.patterns = new Map();
  }

  get(name) {
    if (!this.colors.has(name)) {
      this.colors.set(name, this.style.getPropertyValue(`--${name}`).trim());
    }
    return this.colors.get(name);
  }

  name(family) {
    return this.names.get(family) ?? "third";
  }

  // Returns the role's colours: those of a leader for whatever a protocol calls one.
  role(role) {
    if (/lead|primary|distinguished/.test(role)) return ["leader", "on-leader"];
    if (/candidate|prepar|view/.test(role)) return ["candidate", "on-candidate"];
    return ["follower", "on-follower"];
  }

  hatch(ctx, name) {
    if (!this.patterns.has(name)) {
      const tile = document.createElement("canvas");
      [tile.width, tile.height] = [8, 8];
      const on = tile.getContext("2d");
      on.strokeStyle = this.get(name);
      on.lineWidth = 2;
      on.beginPath();
      for (const by of [-8, 0, 8]) {
        on.moveTo(by - 2, 10);
        on.lineTo(by + 10, -2);
      }
      on.stroke();
      this.patterns.set(name, ctx.createPattern(tile, "repeat"));
    }
    return this.patterns.get(name);
  }
}

class Drawing {
  constructor(canvas, view, palette) {
    Object.assign(this, { canvas, view, palette, model: view.model });
    this.ctx = canvas.getContext("2d");
    this.hovered = null;
    this.faultRows = Math.min(this.deepest(this.model.faults), FAULT_ROWS_MAX);
    this.callRows = Math.min(this.deepest(this.model.operations) + 1, CALL_ROWS_MAX);
    const nodes = Math.max(this.model.lanes.length, 1);
    this.laneHeight = Math.max(50, Math.min(72, 310 / nodes));
    this.faultsTop = AXIS;
    this.callsTop = this.faultsTop + this.faultRows * BAR + 4;
    this.lanesTop = this.callsTop + this.callRows * BAR + 4;
    this.height = this.lanesTop + this.laneHeight * nodes + FOOT;
    canvas.style.height = `${this.height}px`;
  }

  // Returns how many spans there are at once at most, and one at least.
  deepest(spans) {
    const edges = spans.flatMap((span) => [[span.from, 1], [span.to ?? this.model.end, -1]]);
    edges.sort((left, right) => left[0] - right[0]);
    let [deep, most] = [0, 1];
    for (const [, by] of edges) {
      deep += by;
      most = Math.max(most, deep);
    }
    return most;
  }

  width() {
    return Math.max(this.canvas.clientWidth - GUTTER, 1);
  }

  x(time) {
    const { from, to } = this.view;
    return GUTTER + (time - from) * this.width() / (to - from);
  }

  timeAt(x) {
    const { from, to } = this.view;
    return from + (x - GUTTER) * (to - from) / this.width();
  }

  lane(node) {
    return this.lanesTop + this.laneHeight * (node - 1) + this.laneHeight / 2;
  }

  draw() {
    const { canvas, ctx } = this;
    prepare(canvas, ctx, this.height);
    this.right = canvas.clientWidth;
    this.hits = { marks: [], bars: [], lines: [], bands: [] };
    this.written = [];
    ctx.font = `11px ${FONT}`;
    ctx.textBaseline = "middle";
    this.drawGrid();
    ctx.save();
    ctx.beginPath();
    ctx.rect(GUTTER, 0, this.right - GUTTER, this.height);
    ctx.clip();
    this.drawWrong();
    drawMessages(this);
    drawBands(this);
    drawMarks(this);
    this.drawFaults();
    this.drawCalls();
    this.drawMoments();
    this.drawSelected();
    ctx.restore();
    this.drawGutter();
    const { from, to } = this.view;
    element("span").textContent =
      `${milliseconds(Math.max(from, 0))} to ${milliseconds(to)}${this.thinned ?? ""}`;
  }

  drawGrid() {
    const { ctx, palette, model } = this;
    model.lanes.forEach((_, place) => {
      if (place % 2 === 1) return;
      ctx.fillStyle = palette.get("lane");
      ctx.fillRect(0, this.lanesTop + place * this.laneHeight, this.right, this.laneHeight);
    });
    const { from, to } = this.view;
    const step = niceStep((to - from) / (this.width() / 110));
    for (let tick = Math.ceil(from / step) * step; tick <= to; tick += step) {
      if (tick < 0) continue;
      const x = Math.round(this.x(tick)) + 0.5;
      ctx.fillStyle = palette.get("rule");
      ctx.fillRect(x, AXIS - 6, 1, this.height - AXIS - FOOT + 6);
      ctx.fillStyle = palette.get("faint");
      const text = step >= 1e9 ? `${tick / 1e9} s` : `${+(tick / 1e6).toFixed(3)} ms`;
      ctx.fillText(text, x + 3, AXIS / 2);
    }
  }

  // Shades the spans of the calls that cannot be reconciled, down to the nodes that were asked.
  drawWrong() {
    const { ctx, palette, model } = this;
    for (const operation of model.wrong) {
      const left = this.x(operation.from);
      const right = Math.max(this.x(operation.to ?? model.end), left + 1);
      ctx.globalAlpha = 0.1;
      ctx.fillStyle = palette.get("broken");
      ctx.fillRect(left, this.callsTop, right - left, this.lane(operation.node) - this.callsTop);
      ctx.globalAlpha = 0.8;
      ctx.strokeStyle = palette.get("broken");
      ctx.setLineDash([3, 3]);
      for (const x of operation.to === null ? [left] : [left, right]) {
        line(ctx, x, this.callsTop, x, this.lane(operation.node));
      }
      ctx.setLineDash([]);
      ctx.globalAlpha = 1;
    }
  }

  drawFaults() {
    const spans = this.visible(this.model.faults);
    for (const span of spans) {
      // Of a partition the trace names a node that it does not single out.
      const single = span.item.node && span.item.name !== "partition";
      const whom = single ? ` n${span.item.node}` : "";
      span.label = `${span.item.name}${whom}: ${span.item.text}`;
    }
    const dense = spans.length > 80;
    const left = pack(spans, this.faultRows, (span) => this.reach(span, dense));
    for (const span of spans) this.bar(span, this.faultsTop, ["fault", "on-fault"], dense);
    this.tellMore(left, this.faultsTop + this.faultRows * BAR - BAR / 2, "faults");
  }

  drawCalls() {
    const all = this.visible(this.model.operations);
    for (const span of all) {
      const { node, text, answer } = span.item;
      span.label = `n${node}: ${text}${answer === null ? "" : ` -> ${answer}`}`.slice(0, 160);
    }
    const wrong = all.filter((span) => span.item.wrong);
    const right = all.filter((span) => !span.item.wrong);
    const dense = all.length > 80;
    pack(wrong, this.callRows, (span) => this.reach(span, false));
    const kept = Math.max(0, ...wrong.map((span) => span.row + 1));
    const rows = Math.max(this.callRows - kept, 0);
    const left = pack(right, rows, (span) => this.reach(span, dense));
    for (const span of right) if (span.row >= 0) span.row += kept;
    for (const span of right) {
      const doubtful = span.item.answer === null || span.item.answer.startsWith("unknown:");
      const color = doubtful ? "unknown" : "operation";
      this.bar(span, this.callsTop, [color, doubtful ? "text" : "on-operation"], dense);
    }
    for (const span of wrong) this.bar(span, this.callsTop, ["broken", "on-broken"], false);
    this.tellMore(left, this.callsTop + this.callRows * BAR - BAR / 2, "calls");
  }

  // Returns the spans that can be seen, as pixels.
  visible(items) {
    const { from, to } = this.view;
    const spans = [];
    for (const item of items) {
      const end = item.to ?? this.model.end;
      if (item.from > to || end < from) continue;
      const left = this.x(item.from);
      const least = item.wrong ? 6 : 3;
      spans.push({ item, left, right: Math.max(this.x(end), left + least), label: "" });
    }
    return spans;
  }

  // Returns how far a bar and its text go: texts are left out where there are too many.
  reach(span, dense) {
    if (dense) return 0;
    const wide = Math.min(this.ctx.measureText(span.label).width + 10, 420);
    const seen = span.right - Math.max(span.left, GUTTER);
    return wide <= seen ? 0 : span.right - span.left + wide;
  }

  bar(span, top, [color, onColor], dense) {
    if (span.row < 0) return;
    const { ctx, palette } = this;
    const left = Math.max(span.left, GUTTER - 2);
    const right = Math.min(span.right, this.right + 2);
    const y = top + span.row * BAR + 1;
    ctx.fillStyle = palette.get(color);
    ctx.beginPath();
    ctx.roundRect(left, y, Math.max(right - left, 3), BAR - 3, 3);
    ctx.fill();
    const { event } = span.item;
    this.hits.bars.push({ left: left - 2, right: right + 2, top: y, bottom: y + BAR - 2, event });
    if (this.hovered === event) {
      ctx.strokeStyle = palette.get("text");
      ctx.stroke();
    }
    this.barText(span.label, { left, right, y }, [color, onColor], dense);
  }

  // Writes a bar's text into it where it fits, else behind it, else before it.
  barText(text, { left, right, y }, [color, onColor], dense) {
    const { ctx, palette } = this;
    const wide = Math.min(ctx.measureText(text).width + 8, 420);
    const behind = right + wide <= this.right;
    const before = !behind && left - wide >= GUTTER && !dense;
    const inside = wide <= right - left || (!behind && !before);
    const start = inside ? left : behind ? right : left - wide;
    const box = { y, left: start, right: inside ? right : start + wide };
    const meets = (other) => other.y === y && box.left < other.right && box.right > other.left;
    const fits = wide <= right - left;
    if (right - left < 12 && inside || !fits && dense || this.written.some(meets)) return;
    this.written.push(box);
    ctx.save();
    ctx.beginPath();
    ctx.rect(start, y, inside ? right - left : wide, BAR);
    ctx.clip();
    ctx.fillStyle = palette.get(inside ? onColor : color === "broken" ? color : "text");
    ctx.fillText(text, start + 4, y + BAR / 2 - 1);
    ctx.restore();
  }

  tellMore(count, y, name) {
    if (count === 0) return;
    const { ctx, palette } = this;
    const text = `and ${count} more ${name}; zoom in`;
    const wide = ctx.measureText(text).width + 10;
    ctx.fillStyle = palette.get("page");
    ctx.fillRect(this.right - wide, y - 8, wide, 16);
    ctx.fillStyle = palette.get("faint");
    ctx.fillText(text, this.right - wide + 5, y);
  }

  // Draws the lines of moments: when all was mended, what broke, when that was seen.
  drawMoments() {
    const { model } = this;
    // What broke comes first: where texts would meet, the later ones are left out.
    this.said = [];
    if (model.seen !== null) {
      const { flaw, what } = model.run.failure;
      this.moment(model.contradicted ?? model.seen, "broken", `${flaw}: ${what}`, []);
      if (model.contradicted !== null && model.contradicted !== model.seen) {
        this.moment(model.seen, "broken", "the check fails here", [2, 3]);
      }
    }
    if (model.mended !== Infinity) this.moment(model.mended, "apply", "all is mended", [6, 4]);
  }

  moment(time, color, text, dash) {
    const { ctx, palette } = this;
    const x = this.x(time);
    if (x < GUTTER - 2 || x > this.right + 2) return;
    ctx.strokeStyle = palette.get(color);
    ctx.lineWidth = 2;
    ctx.setLineDash(dash);
    line(ctx, x, AXIS - 4, x, this.height - FOOT);
    ctx.setLineDash([]);
    ctx.lineWidth = 1;
    const wide = Math.min(ctx.measureText(text).width + 12, this.right - GUTTER);
    const left = Math.max(GUTTER, Math.min(x - wide / 2, this.right - wide));
    if (this.said.some((said) => left < said.right && left + wide > said.left)) return;
    this.said.push({ left, right: left + wide });
    ctx.fillStyle = palette.get(color);
    ctx.fillRect(left, this.height - FOOT + 1, wide, FOOT - 2);
    ctx.fillStyle = palette.get(color === "broken" ? "on-broken" : "page");
    ctx.fillText(text, left + 6, this.height - FOOT / 2);
  }

  drawSelected() {
    const event = this.view.selected;
    if (!event) return;
    const { ctx, palette } = this;
    ctx.strokeStyle = palette.get("focus");
    const x = this.x(event.time);
    ctx.setLineDash([5, 3]);
    line(ctx, x, AXIS - 6, x, this.height - FOOT);
    ctx.setLineDash([]);
    if (!event.node || event.node > this.model.lanes.length) return;
    ctx.lineWidth = 2;
    ctx.beginPath();
    ctx.arc(x, this.lane(event.node), 13, 0, 2 * Math.PI);
    ctx.stroke();
    ctx.lineWidth = 1;
  }

  drawGutter() {
    const { ctx, palette, model } = this;
    ctx.fillStyle = palette.get("panel");
    ctx.fillRect(0, 0, GUTTER - 1, this.height);
    ctx.fillStyle = palette.get("faint");
    ctx.fillText("time", 8, AXIS / 2);
    ctx.fillText("faults", 8, this.faultsTop + BAR / 2);
    ctx.fillText("calls", 8, this.callsTop + BAR / 2);
    model.lanes.forEach((_, place) => {
      const accused = model.accused.has(place + 1);
      ctx.font = `bold 12px ${FONT}`;
      ctx.fillStyle = palette.get(accused ? "broken" : "text");
      ctx.fillText(`node ${place + 1}`, 8, this.lane(place + 1));
      ctx.font = `11px ${FONT}`;
    });
  }

  // Returns the event that stands at a place.
  hit(x, y) {
    if (!this.hits || x < GUTTER) return null;
    const inside = (box) => x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
    const mark = this.hits.marks.find(inside) ?? this.hits.bars.findLast(inside);
    if (mark) return mark.event;
    let [best, nearest] = [null, 6];
    for (const one of this.hits.lines) {
      const distance = distanceTo(one, x, y);
      if (distance < nearest) [best, nearest] = [one.event, distance];
    }
    return best ?? this.hits.bands.find(inside)?.event ?? null;
  }

  hover(x, y, clientX, clientY) {
    const event = this.hit(x, y);
    const tip = element("tip");
    tip.hidden = !event;
    this.canvas.style.cursor = event ? "pointer" : "";
    if (event) {
      tip.textContent = `${milliseconds(event.time)}\n${this.model.describe(event)}`;
      const right = clientX + 480 > innerWidth;
      tip.style.left = right ? "" : `${clientX + 14}px`;
      tip.style.right = right ? `${innerWidth - clientX + 14}px` : "";
      tip.style.top = `${Math.min(clientY + 14, innerHeight - 170)}px`;
    }
    if (event === this.hovered) return;
    this.hovered = event;
    this.view.touch();
  }
}
