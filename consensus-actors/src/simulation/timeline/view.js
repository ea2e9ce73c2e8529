// What is looked at: the span of time, the kinds that are shown, the event that is selected.

const SPAN_MIN = 2e4;
const GUTTER = 92;
const MARKS = [["durable", "disk"], ["apply", "applied"]];

class View {
  constructor(model, changed) {
    this.model = model;
    this.changed = changed;
    this.selected = null;
    this.hidden = new Set(model.families.filter((family) => family.startsWith("Heartbeat")));
    this.hidden.add("durable");
    this.waits = false;
    this.listeners = [];
    this.showInteresting();
  }

  // Draws once a frame, however many changes there are.
  touch() {
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => {
      this.waits = false;
      this.changed();
    });
  }

  show(from, to) {
    const whole = this.model.end * 1.02;
    const span = Math.min(Math.max(to - from, SPAN_MIN), whole * 1.02);
    // A little room on both sides, so that the first and last events are not at the edge.
    const room = Math.min(span * 0.15, whole * 0.02);
    const start = Math.max(-room, Math.min(from, whole + room - span));
    this.from = start;
    this.to = start + span;
    this.touch();
  }

  showAll() {
    this.show(0, this.model.end * 1.02);
  }

  showInteresting() {
    this.show(...this.model.interesting());
  }

  pan(part) {
    const by = (this.to - this.from) * part;
    this.show(this.from + by, this.to + by);
  }

  // Zooms so that the moment `at` stays where it is.
  zoom(factor, at = (this.from + this.to) / 2) {
    const span = Math.max((this.to - this.from) * factor, SPAN_MIN);
    const share = (at - this.from) / (this.to - this.from);
    this.show(at - span * share, at + span * (1 - share));
  }

  // Moves so far that `time` can be seen well.
  reveal(time) {
    const span = this.to - this.from;
    if (time > this.from + span * 0.05 && time < this.to - span * 0.05) return this.touch();
    this.show(time - span / 2, time + span / 2);
  }

  select(event) {
    this.selected = event;
    if (event) this.reveal(event.time);
    this.listeners.forEach((listener) => listener(event));
    this.touch();
  }

  toggle(kind) {
    if (!this.hidden.delete(kind)) this.hidden.add(kind);
    this.touch();
  }

  // Tells whether the timeline draws an event.
  draws(event) {
    if (event.kind === "send") return !this.hidden.has(event.sending.family);
    if (event.kind === "receive" || event.kind === "persist") return false;
    return !this.hidden.has(event.kind);
  }

  // Selects the next event that is drawn, or the one before.
  step(by) {
    const { events } = this.model;
    const middle = (this.from + this.to) / 2;
    const within = (event) => event.time >= this.from && event.time <= this.to;
    let place = this.selected && within(this.selected) ? this.selected.place + by
      : firstAtOrAfter(events, middle, (event) => event.time) - (by < 0 ? 1 : 0);
    while (events[place] && !this.draws(events[place])) place += by;
    if (events[place]) this.select(events[place]);
  }
}

// Returns the first place of a sorted list whose `key` is not below `value`.
function firstAtOrAfter(list, value, key) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(list[middle]) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Puts spans into rows where they do not overlap; what finds no row gets none.
function pack(spans, rows, reach) {
  const free = new Array(rows).fill(-Infinity);
  let left = 0;
  for (const span of spans) {
    const row = free.findIndex((until) => until <= span.left);
    span.row = row;
    if (row < 0) left += 1;
    else free[row] = Math.max(span.right, span.left + reach(span));
  }
  return left;
}
