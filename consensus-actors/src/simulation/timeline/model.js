// The run as objects: what the numbers of the page's data mean, and what follows from them.

const KINDS = [
  "role", "send", "receive", "persist", "durable", "apply", "call", "return", "fault", "down",
  "up", "mended", "broken",
];

// Faults that strike in a moment; what the trace gives as their length means nothing.
const MOMENTARY = new Set([
  "crash-all", "wiped-disk", "replacement", "bit-rot", "write-error", "sync-error", "clock-jump",
]);

function decode(run) {
  const text = (place) => run.texts[place];
  const fields = [
    ([role, term]) => ({ role: text(role), term }),
    ([to, message, said, takes]) => ({ to, message, text: text(said), takes }),
    ([from, message]) => ({ from, message }),
    ([token, said]) => ({ token, text: text(said) }),
    ([upto]) => ({ upto }),
    ([index, said]) => ({ index, text: text(said) }),
    ([operation, process, said]) => ({ operation, process, text: text(said) }),
    ([operation, said]) => ({ operation, text: text(said) }),
    ([fault, said, lasts]) => ({ fault: text(fault), text: text(said), lasts }),
    ([said]) => ({ text: text(said) }),
    ([said]) => ({ text: text(said) }),
    () => ({}),
    ([said]) => ({ text: text(said) }),
  ];
  let time = 0;
  return run.events.map(([kind, since, node, ...rest], place) => {
    time += since;
    return { place, kind: KINDS[kind], time, node, ...fields[kind](rest) };
  });
}

function milliseconds(time) {
  return `${(Math.floor(time / 1000) / 1000).toFixed(3)} ms`;
}

class Model {
  constructor(run) {
    this.run = run;
    this.events = decode(run);
    const last = this.events.at(-1);
    this.end = Math.max(run.simulated, last ? last.time : 0, 1);
    this.lanes = Array.from({ length: run.nodes }, () => ({ bands: [], pauses: [], marks: [] }));
    this.messages = [];
    this.operations = [];
    this.faults = [];
    this.broken = null;
    this.mended = Infinity;
    this.sent = new Map();
    this.called = new Map();
    for (const event of this.events) this.take(event);
    this.lanes.forEach((lane) => this.close(lane, this.end));
    this.settle();
    this.accuse();
  }

  lane(node) {
    return this.lanes[node - 1];
  }

  close(lane, time) {
    const band = lane.bands.at(-1);
    if (band && band.to === null) band.to = time;
  }

  open(event, role, term) {
    const lane = this.lane(event.node);
    if (!lane) return;
    const last = lane.bands.at(-1);
    if (role === "down" && last?.role === "down") {
      // It ends, and then cannot start: one time of being down, told by what came last.
      Object.assign(last, { event, lost: event.text.startsWith("for good") });
      return;
    }
    this.close(lane, event.time);
    lane.bands.push({ from: event.time, to: null, role, term, event });
  }

  // Puts an event where it is drawn.
  take(event) {
    const lane = this.lane(event.node);
    switch (event.kind) {
      case "role": return this.open(event, event.role, event.term);
      case "down": return this.open(event, "down", null);
      case "up": return this.open(event, "starts", null);
      case "send": return this.takeSend(event);
      case "receive": return this.takeReceive(event);
      case "call": return this.takeCall(event);
      case "return": return this.takeReturn(event);
      case "fault": return this.takeFault(event);
      case "mended": this.mended = event.time; return;
      case "broken": this.broken = event; return;
      default: if (lane) lane.marks.push(event);
    }
  }

  takeSend(event) {
    const name = /^[A-Za-z]+/.exec(event.text)?.[0] ?? "message";
    const message = {
      event, name, family: name.replace(/Reply$/, "") || name, from: event.node, to: event.to,
      sent: event.time, arrives: event.takes === 0 ? null : event.time + event.takes - 1,
      received: [],
    };
    event.sending = message;
    this.messages.push(message);
    this.sent.set(event.message, message);
  }

  takeReceive(event) {
    const message = this.sent.get(event.message);
    event.sending = message;
    if (message) message.received.push(event);
  }

  takeCall(event) {
    const operation = {
      event, id: event.operation, process: event.process, node: event.node, text: event.text,
      from: event.time, to: null, answer: null, ended: null, wrong: false,
    };
    event.calling = operation;
    this.operations.push(operation);
    this.called.set(event.operation, operation);
  }

  takeReturn(event) {
    const operation = this.called.get(event.operation);
    event.calling = operation;
    if (!operation || operation.ended) return;
    Object.assign(operation, { to: event.time, answer: event.text, ended: event });
    event.node = operation.node;
  }

  takeFault(event) {
    const lasts = MOMENTARY.has(event.fault) ? 0 : event.lasts;
    const fault = { event, name: event.fault, node: event.node, from: event.time,
      to: event.time + lasts, text: event.text };
    this.faults.push(fault);
    if (fault.name === "pause" && this.lane(fault.node)) this.lane(fault.node).pauses.push(fault);
  }

  // Ends what the mending ended, and tells the fate of messages.
  settle() {
    for (const fault of this.faults) {
      fault.to = Math.max(fault.from, Math.min(fault.to, this.mended, this.end));
    }
    this.longest = 0;
    for (const message of this.messages) {
      const first = message.received[0];
      message.fate = "received";
      message.end = first ? first.time : message.arrives;
      if (!first) message.fate = message.arrives === null ? "lost" : "unheard";
      if (message.fate === "unheard" && message.arrives >= this.end) message.fate = "under way";
      if (message.fate === "lost") message.end = message.sent;
      this.longest = Math.max(this.longest, message.end - message.sent);
    }
    this.families = [...new Set(this.messages.map((message) => message.family))].sort();
  }

  // Finds the operations that the evidence tells of, and the place of the failure.
  accuse() {
    const failure = this.run.failure;
    this.evidence = (failure?.evidence ?? []).map((line) => ({ line, operation: null }));
    for (const one of this.evidence) {
      const told = /^process (\d+), ([\d.]+) ms to /.exec(one.line);
      if (!told) continue;
      one.operation = this.operations.find((operation) =>
        operation.process === Number(told[1]) && milliseconds(operation.from) === `${told[2]} ms`,
      ) ?? null;
      if (one.operation) one.operation.wrong = true;
    }
    this.wrong = this.operations.filter((operation) => operation.wrong);
    this.accused = new Set();
    for (const [, node] of (failure?.what ?? "").matchAll(/\bn(\d+)\b/g)) {
      this.accused.add(Number(node));
    }
    this.seen = failure ? Math.min(failure.at, this.end) : null;
    // A history is judged in the end; what is wrong with it happened when the last was answered.
    const ends = this.wrong.map((operation) => operation.to ?? operation.from);
    this.contradicted = ends.length > 0 ? Math.max(...ends) : null;
  }

  roleAt(node, time) {
    const bands = this.lane(node)?.bands ?? [];
    return bands.findLast((band) => band.from <= time && (band.to > time || band.from === time));
  }

  // Tells whether an event turns the course of the run: what a newcomer should read first.
  isTurn(event) {
    switch (event.kind) {
      case "fault": case "mended": case "broken": case "down": return true;
      case "up": return event.time > 0;
      case "role": return event.role !== "follower" && !event.role.endsWith("candidate");
      case "call": case "return": return event.calling?.wrong ?? false;
      default: return false;
    }
  }

  isWrong(event) {
    return event.kind === "broken" || (event.calling?.wrong ?? false);
  }

  // The span that is shown first: what is wrong, and the last turns before it.
  interesting() {
    if (this.seen === null) return [0, this.end];
    const to = this.contradicted ?? this.seen;
    const began = this.wrong.map((operation) => operation.from);
    let from = Math.min(to, ...began);
    const turns = this.events.filter((event) => event.time < from &&
      (this.isTurn(event) || event.role?.endsWith("candidate")));
    const reach = Math.max(8e8, 1.5 * (to - from));
    const near = turns.slice(-4).filter((turn) => to - turn.time <= reach);
    from = Math.min(from, ...near.map((turn) => turn.time));
    const least = near.length + began.length > 0 ? 4e7 : 6e8;
    const span = Math.max(to - from, least);
    return [Math.min(from, to - span) - span * 0.08, to + span * 0.2];
  }

  // Says an event in words.
  describe(event) {
    const at = event.node ? `node ${event.node}` : "";
    switch (event.kind) {
      case "role": return this.describeRole(event);
      case "send": return this.describeSend(event);
      case "receive": return this.describeReceive(event);
      case "persist": return `record ${event.token} handed to the disk: ${event.text}`;
      case "durable": return `records up to ${event.upto} are durable`;
      case "apply": return `entry ${event.index} applied: ${event.text}`;
      case "call": return `process ${event.process} asks ${at}: ${event.text}`;
      case "return": return this.describeReturn(event);
      case "fault": return `${event.fault}: ${event.text}`;
      case "down": return `${at} goes down: ${event.text}`;
      case "up": return `${at} starts with ${event.text}`;
      case "mended": return "all faults end, everything is mended";
      default: return event.text;
    }
  }

  describeRole(event) {
    const own = `node ${event.node} is ${event.role} in term ${event.term}`;
    if (event.role !== "leader") return own;
    const others = this.lanes.flatMap((lane, place) => {
      const band = this.roleAt(place + 1, event.time);
      const leads = place + 1 !== event.node && band?.role === "leader" && lane;
      return leads ? [`node ${place + 1} still takes itself for leader of term ${band.term}`] : [];
    });
    return [own, ...others].join("; ");
  }

  describeSend(event) {
    const { node, to, text } = event;
    return `node ${node} to node ${to}: ${text}${this.describeFate(event.sending)}`;
  }

  describeReceive(event) {
    const text = event.sending?.event.text ?? "a message";
    return `node ${event.node} takes from node ${event.from}: ${text}`;
  }

  describeFate(message) {
    if (message.fate === "lost") return " (lost)";
    if (message.fate === "unheard") return " (nobody there to take it)";
    if (message.fate === "under way") return " (still under way)";
    const copies = message.received.length > 1 ? ", taken more than once" : "";
    return ` (taken after ${milliseconds(message.end - message.sent)}${copies})`;
  }

  describeReturn(event) {
    const operation = event.calling;
    if (!operation) return event.text;
    const took = milliseconds(event.time - operation.from);
    return `process ${operation.process} is answered after ${took}: ` +
      `${operation.text} -> ${event.text}`;
  }
}
