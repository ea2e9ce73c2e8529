// All events as text. Only the rows that can be seen exist, so that a long run stays fluid.

const ROW = 22;

const CHOICES = [
  ["turning points", (event, model) => model.isTurn(event)],
  ["everything", () => true],
  ["everything but heartbeats", (event) =>
    !event.sending || !event.sending.family.startsWith("Heartbeat")],
  ["messages", (event) => event.kind === "send" || event.kind === "receive"],
  ["calls and answers", (event) => event.kind === "call" || event.kind === "return"],
  ["roles, starts and ends", (event) => ["role", "up", "down"].includes(event.kind)],
  ["faults", (event) => event.kind === "fault" || event.kind === "mended"],
  ["records on disks", (event) => event.kind === "persist" || event.kind === "durable"],
  ["entries applied", (event) => event.kind === "apply"],
];

class List {
  constructor(model, view) {
    this.model = model;
    this.view = view;
    this.box = element("list");
    this.rows = this.box.firstElementChild;
    const [choice, node] = [element("choice"), element("node")];
    CHOICES.forEach(([name], place) => choice.append(new Option(name, place)));
    node.append(new Option("all nodes", 0));
    model.lanes.forEach((_, place) => node.append(new Option(`node ${place + 1}`, place + 1)));
    for (const input of [choice, node, element("search")]) {
      input.addEventListener("input", () => this.filter());
    }
    this.box.addEventListener("scroll", () => this.draw());
    this.box.addEventListener("click", (event) => this.click(event));
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.filter();
    // What is shown of the list first is what is shown above it.
    const place = firstAtOrAfter(this.shown, view.from, (event) => event.time);
    this.box.scrollTop = (place - 1) * ROW;
  }

  filter() {
    const chosen = CHOICES[Number(element("choice").value)][1];
    const node = Number(element("node").value);
    const words = element("search").value.toLowerCase();
    this.shown = this.model.events.filter((event) =>
      chosen(event, this.model) &&
      (node === 0 || event.node === node || event.to === node || !event.node) &&
      (words === "" || this.text(event).toLowerCase().includes(words)));
    const all = this.model.events.length;
    element("count").textContent = `${this.shown.length} of ${all} events`;
    this.rows.style.height = `${this.shown.length * ROW}px`;
    this.rows.style.position = "relative";
    this.draw();
    if (this.view.selected) this.scrollTo(this.place(this.view.selected));
  }

  text(event) {
    return `${milliseconds(event.time)} ${event.kind} ${this.model.describe(event)}`;
  }

  // Returns where an event stands among those that are shown, or -1.
  place(event) {
    const place = firstAtOrAfter(this.shown, event.place, (shown) => shown.place);
    return this.shown[place] === event ? place : -1;
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - 4);
    const count = Math.ceil(this.box.clientHeight / ROW) + 8;
    const rows = this.shown.slice(first, first + count).map((event, offset) => {
      const row = make("div", undefined, "row");
      row.id = `event-${event.place}`;
      row.dataset.place = event.place;
      row.style.top = `${(first + offset) * ROW}px`;
      row.setAttribute("role", "option");
      row.classList.toggle("selected", event === this.view.selected);
      row.classList.toggle("turn", event.kind === "role" && event.role === "leader");
      row.classList.toggle("wrong", this.model.isWrong(event));
      row.setAttribute("aria-selected", String(event === this.view.selected));
      const said = this.model.describe(event);
      row.append(make("span", milliseconds(event.time)),
        make("span", event.node ? `node ${event.node}` : ""), make("span", event.kind),
        make("span", said.length > 400 ? `${said.slice(0, 400)}...` : said));
      return row;
    });
    this.rows.replaceChildren(...rows);
  }

  click(event) {
    const row = event.target.closest(".row");
    if (row) this.view.select(this.model.events[Number(row.dataset.place)]);
  }

  key(event) {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 14, PageUp: -14 }[event.key];
    if (!by || this.shown.length === 0) return;
    event.preventDefault();
    const now = this.view.selected ? this.place(this.view.selected) : -1;
    const next = Math.min(Math.max(now + by, 0), this.shown.length - 1);
    this.view.select(this.shown[next]);
  }

  scrollTo(place) {
    if (place < 0) return;
    const top = place * ROW;
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop || top + ROW > scrollTop + clientHeight) {
      this.box.scrollTop = top - clientHeight / 2;
    }
    this.box.setAttribute("aria-activedescendant", `event-${this.shown[place].place}`);
  }

  // Shows an event that was selected, wherever that was; filters that hide it give way.
  follow(event) {
    if (event && this.place(event) < 0) {
      element("choice").value = "1";
      element("node").value = "0";
      element("search").value = "";
      this.filter();
    }
    if (event) this.scrollTo(this.place(event));
    this.draw();
  }
}
