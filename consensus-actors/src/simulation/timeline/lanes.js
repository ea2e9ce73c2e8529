// What happens in the lanes and between them, and the small picture of the whole run.

const BAND = 20;
const MESSAGES_MAX = 4000;
const MARKS_MAX = 1500;

function line(ctx, fromX, fromY, toX, toY) {
  ctx.beginPath();
  ctx.moveTo(fromX, fromY);
  ctx.lineTo(toX, toY);
  ctx.stroke();
}

function prepare(canvas, ctx, height) {
  const scale = devicePixelRatio || 1;
  const [wide, high] = [Math.round(canvas.clientWidth * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  ctx.setTransform(scale, 0, 0, scale, 0, 0);
  ctx.clearRect(0, 0, canvas.clientWidth, height);
}

// Returns 1, 2 or 5 times a power of ten that is no less than `least`.
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least);
}

function distanceTo({ fromX, fromY, toX, toY }, x, y) {
  const [dx, dy] = [toX - fromX, toY - fromY];
  const share = ((x - fromX) * dx + (y - fromY) * dy) / (dx * dx + dy * dy || 1);
  const at = Math.min(Math.max(share, 0), 1);
  return Math.hypot(x - fromX - at * dx, y - fromY - at * dy);
}

function drawMessages(drawing) {
  const { view, model } = drawing;
  const { from, to } = view;
  const first = firstAtOrAfter(model.messages, from - model.longest, (message) => message.sent);
  const seen = [];
  for (let place = first; place < model.messages.length; place += 1) {
    const message = model.messages[place];
    if (message.sent > to) break;
    const far = message.end < from || message.from === message.to;
    if (!far && !view.hidden.has(message.family)) seen.push(message);
  }
  // Every tenth tells as much where thousands would be one grey surface.
  const step = Math.ceil(seen.length / MESSAGES_MAX);
  drawing.thinned = step > 1 ? `; one message in ${step} is drawn, zoom in to see all` : "";
  const drawn = seen.filter((_, place) => place % step === 0);
  const labels = drawn.length <= 60 ? [] : null;
  const style = { labels, heads: drawn.length <= 500, dense: drawn.length > 600 };
  for (const message of drawn) drawMessage(drawing, message, style);
}

// Returns where a message's line goes: from the edge of one band to the edge of the other.
function course(drawing, message) {
  const down = message.to > message.from ? 1 : -1;
  const fromX = drawing.x(message.sent);
  const fromY = drawing.lane(message.from) + down * BAND / 2;
  const whole = drawing.lane(message.to) - down * BAND / 2 - fromY;
  if (message.fate === "lost") {
    return { fromX, fromY, toX: fromX + 7, toY: fromY + down * 17 };
  }
  return { fromX, fromY, toX: drawing.x(message.end), toY: fromY + whole };
}

function drawMessage(drawing, message, style) {
  const { ctx, palette, view, hits } = drawing;
  const path = course(drawing, message);
  const { fromX, fromY, toX, toY } = path;
  const { event } = message;
  const marked = drawing.hovered === event || view.selected?.sending === message;
  ctx.strokeStyle = palette.get(palette.name(message.family));
  ctx.lineWidth = marked ? 3 : 1.3;
  ctx.globalAlpha = style.dense && !marked ? 0.45 : 0.9;
  ctx.setLineDash(message.name === message.family ? [] : [5, 3]);
  line(ctx, fromX, fromY, toX, toY);
  ctx.setLineDash([]);
  if (message.fate === "lost" || message.fate === "unheard") {
    ctx.strokeStyle = palette.get("broken");
    ctx.lineWidth = 1.6;
    line(ctx, toX - 3.5, toY - 3.5, toX + 3.5, toY + 3.5);
    line(ctx, toX - 3.5, toY + 3.5, toX + 3.5, toY - 3.5);
  } else if (style.heads) {
    arrow(ctx, path);
  }
  ctx.globalAlpha = 1;
  ctx.lineWidth = 1;
  hits.lines.push({ ...path, event });
  if (style.labels) label(drawing, message, path, style.labels);
}

function arrow(ctx, { fromX, fromY, toX, toY }) {
  const angle = Math.atan2(toY - fromY, toX - fromX);
  ctx.fillStyle = ctx.strokeStyle;
  ctx.beginPath();
  ctx.moveTo(toX, toY);
  for (const by of [-0.4, 0.4]) {
    ctx.lineTo(toX - 8 * Math.cos(angle + by), toY - 8 * Math.sin(angle + by));
  }
  ctx.fill();
}

// Writes what a message says beside its line, if nothing stands there yet.
function label(drawing, message, { fromX, fromY, toX, toY }, labels) {
  const { ctx, palette } = drawing;
  const text = message.event.text.slice(0, 48);
  const wide = ctx.measureText(text).width;
  // In the gap next to the sender, which no band crosses.
  const gap = Math.min((drawing.laneHeight - BAND) / 2 / Math.max(Math.abs(toY - fromY), 1), 0.5);
  const left = fromX + (toX - fromX) * gap + 6;
  const y = fromY + (toY - fromY) * gap;
  const box = { left, right: left + wide, top: y - 7, bottom: y + 7 };
  const meets = (other) => box.left < other.right && box.right > other.left &&
    box.top < other.bottom && box.bottom > other.top;
  if (labels.some(meets)) return;
  labels.push(box);
  ctx.lineWidth = 3;
  ctx.strokeStyle = palette.get("page");
  ctx.strokeText(text, left, y);
  ctx.lineWidth = 1;
  ctx.fillStyle = palette.get(palette.name(message.family));
  ctx.fillText(text, left, y);
}

function drawBands(drawing) {
  const { ctx, palette, view, model } = drawing;
  model.lanes.forEach((lane, place) => {
    const middle = drawing.lane(place + 1);
    const first = Math.max(firstAtOrAfter(lane.bands, view.from, (band) => band.from) - 1, 0);
    for (const band of lane.bands.slice(first)) {
      if (band.from > view.to) break;
      if (band.to > view.from && band.to > band.from) drawBand(drawing, band, middle);
    }
    for (const pause of lane.pauses) {
      const left = Math.max(drawing.x(pause.from), GUTTER);
      const right = Math.min(drawing.x(pause.to), drawing.right);
      if (right <= left) continue;
      ctx.fillStyle = palette.hatch(ctx, "fault");
      ctx.fillRect(left, middle - BAND / 2, right - left, BAND);
      ctx.strokeStyle = palette.get("fault");
      ctx.strokeRect(left, middle - BAND / 2, right - left, BAND);
      // Behind the band's own text.
      const start = right - left > 220 ? left + 110 : left;
      bandText(drawing, "stands still", "text", { left: start, right, middle });
    }
  });
}

function drawBand(drawing, band, middle) {
  const { ctx, palette, hits } = drawing;
  const left = Math.max(drawing.x(band.from), GUTTER - 1);
  const right = Math.min(drawing.x(band.to), drawing.right + 1);
  const wide = Math.max(right - left, 1);
  const [top, bottom] = [middle - BAND / 2, middle + BAND / 2];
  hits.bands.push({ left, right, top, bottom, event: band.event });
  if (band.role === "down") {
    ctx.fillStyle = palette.get("page");
    ctx.fillRect(left, top, wide, BAND);
    ctx.fillStyle = palette.hatch(ctx, "down");
    ctx.fillRect(left, top, wide, BAND);
    bandText(drawing, band.lost ? "down for good" : "down", "text", { left, right, middle });
    return;
  }
  const [color, onColor] = palette.role(band.role);
  ctx.fillStyle = palette.get(color);
  ctx.fillRect(left, top, wide, BAND);
  // A seam, so that terms can be told apart.
  ctx.fillStyle = palette.get("page");
  ctx.fillRect(left, top, 1, BAND);
  if (color === "leader") {
    ctx.fillStyle = palette.get("on-leader");
    ctx.fillRect(left, top - 2, wide, 2);
    ctx.fillRect(left, bottom, wide, 2);
  }
  const term = band.term === null ? "" : `, term ${band.term}`;
  const full = `${band.role}${term}`;
  ctx.font = `${color === "leader" ? "bold " : ""}11px ${FONT}`;
  const fits = ctx.measureText(full).width + 8 <= right - left;
  bandText(drawing, fits ? full : `${band.term ?? ""}`, onColor, { left, right, middle });
  ctx.font = `11px ${FONT}`;
}

function bandText(drawing, text, color, { left, right, middle }) {
  const { ctx, palette } = drawing;
  const wide = ctx.measureText(text).width;
  if (wide + 4 > right - left) return;
  if (color === "text") {
    ctx.fillStyle = palette.get("page");
    ctx.fillRect(left + 2, middle - 7, Math.min(wide + 6, right - left - 4), 14);
  }
  ctx.fillStyle = palette.get(color);
  ctx.fillText(text, left + 4, middle + 0.5);
}

// Draws what nodes did on their own: entries applied below their band, durable records above.
function drawMarks(drawing) {
  const { ctx, palette, view, model, hits } = drawing;
  const seen = [];
  for (const lane of model.lanes) {
    const first = firstAtOrAfter(lane.marks, view.from, (mark) => mark.time);
    for (let place = first; place < lane.marks.length; place += 1) {
      const mark = lane.marks[place];
      if (mark.time > view.to) break;
      if (view.draws(mark)) seen.push(mark);
    }
  }
  if (seen.length > MARKS_MAX) return;
  let last = null;
  for (const mark of seen) {
    const x = drawing.x(mark.time);
    const middle = drawing.lane(mark.node);
    const above = mark.kind !== "apply";
    const y = above ? middle - BAND / 2 - 8 : middle + BAND / 2 + 2;
    ctx.fillStyle = palette.get(above ? "record" : "apply");
    ctx.fillRect(x - 1.5, y, 3, 6);
    hits.marks.push({ left: x - 4, right: x + 4, top: y - 1, bottom: y + 8, event: mark });
    const near = last && last.node === mark.node && x - last.x < 22;
    if (seen.length > 60 || above || near) continue;
    ctx.fillText(`${mark.index}`, x + 4, y + 5);
    last = { node: mark.node, x };
  }
}

// Draws the whole run small, and a frame around what is shown.
function drawMap(canvas, view, palette) {
  const { model } = view;
  const ctx = canvas.getContext("2d");
  const high = canvas.clientHeight;
  prepare(canvas, ctx, high);
  const wide = canvas.clientWidth - GUTTER;
  const x = (time) => GUTTER + time * wide / (model.end * 1.02);
  const top = 8;
  const each = (high - top - 3) / Math.max(model.lanes.length, 1);
  for (const fault of model.faults) {
    ctx.fillStyle = palette.get("fault");
    ctx.fillRect(x(fault.from), 1, Math.max(x(fault.to) - x(fault.from), 2), 5);
  }
  model.lanes.forEach((lane, place) => {
    for (const band of lane.bands) {
      const [color] = band.role === "down" ? ["down"] : palette.role(band.role);
      ctx.fillStyle = palette.get(color);
      const length = Math.max(x(band.to) - x(band.from), color === "leader" ? 1.5 : 0.5);
      ctx.fillRect(x(band.from), top + place * each, length, each - 1);
    }
  });
  for (const time of [model.contradicted, model.seen]) {
    if (time === null) continue;
    ctx.fillStyle = palette.get("broken");
    ctx.fillRect(x(time) - 1, 0, 2, high);
  }
  ctx.fillStyle = palette.get("faint");
  ctx.font = `11px ${FONT}`;
  ctx.textBaseline = "middle";
  ctx.fillText("whole run", 8, high / 2);
  const [left, right] = [Math.max(x(view.from), GUTTER), x(view.to)];
  ctx.strokeStyle = palette.get("focus");
  ctx.lineWidth = 2;
  ctx.strokeRect(left, 1, Math.max(right - left, 4), high - 2);
  ctx.globalAlpha = 0.15;
  ctx.fillStyle = palette.get("focus");
  ctx.fillRect(left, 1, Math.max(right - left, 4), high - 2);
  ctx.globalAlpha = 1;
  ctx.lineWidth = 1;
}
