// What stands above the timeline: what broke, the evidence, how to reproduce it, and numbers.
// Texts of the run become text nodes, never markup.

const element = (id) => document.getElementById(id);

function make(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}

function fillHead(model, go) {
  const { run } = model;
  const failure = run.failure;
  document.title = failure ? `${failure.flaw}: ${run.title}` : run.title;
  element("title").textContent = run.title;
  element("flaw").textContent = failure ? failure.flaw : "holds";
  element("flaw").classList.toggle("holds", !failure);
  element("what").textContent = failure ? failure.what : "Nothing broke in this run.";
  element("when").textContent = failure ? whenSeen(model, failure) : "";
  for (const one of model.evidence) {
    const item = make("li");
    const shown = make(one.operation ? "button" : "span", one.line);
    if (one.operation) {
      shown.type = "button";
      shown.title = "Show this call on the timeline";
      shown.addEventListener("click", () => go(one.operation.event));
    }
    item.append(shown);
    element("evidence").append(item);
  }
  element("evidence").hidden = model.evidence.length === 0;
  element("command").textContent = run.command;
  element("copy").addEventListener("click", () => copy(run.command));
  fillFacts(model);
}

function whenSeen(model, failure) {
  const seen = `seen at ${milliseconds(failure.at)}`;
  return model.contradicted === null || model.contradicted === model.seen
    ? seen : `happened by ${milliseconds(model.contradicted)}, ${seen}`;
}

function fillFacts(model) {
  const { run } = model;
  const struck = run.faults.reduce((sum, [, count]) => sum + count, 0);
  const kinds = [...run.faults].sort((left, right) => right[1] - left[1])
    .map(([name, count]) => `${count} ${name}`);
  const facts = [
    ["seed", run.seed], ["nodes", run.nodes], ["calls", `${run.operations}`],
    ["answered", run.answered], ["faults", struck], ["terms", run.terms],
    ["simulated", milliseconds(run.simulated)], ["events", model.events.length],
    ["digest", run.digest],
  ];
  for (const [name, value] of facts) {
    const fact = make("li", `${name} `);
    fact.append(make("b", String(value)));
    if (name === "faults" && struck > 0) {
      fact.title = kinds.join(", ");
      fact.append(` (${kinds.slice(0, 3).join(", ")}${kinds.length > 3 ? ", ..." : ""})`);
    }
    element("facts").append(fact);
  }
}

// A page that was opened from a file may lack the clipboard; selecting always works.
function copy(text) {
  const said = (word) => {
    element("copy").textContent = word;
    setTimeout(() => { element("copy").textContent = "Copy"; }, 1500);
  };
  const select = () => {
    getSelection().selectAllChildren(element("command"));
    said(document.execCommand("copy") ? "Copied" : "Selected");
  };
  if (!navigator.clipboard) return select();
  navigator.clipboard.writeText(text).then(() => said("Copied"), select);
}
