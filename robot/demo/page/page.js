// The page: draws what the robot says of itself, and sends what a person asks for. It keeps nothing
// of its own but the text that is being written and which camera is large.

import { Link } from "/link.js";
import { View } from "/view.js";

const PREVIEW_MS = 250; // after the last change of a goal that is being written
const LARGEST_MB = 16;
const $ = (id) => document.getElementById(id);

const bitmaps = new Map(); // camera -> its newest picture
let state = null;
let large = null; // the camera that is drawn on
let suggested = ""; // what was put into the text for the regions drawn
let previewing = 0;

const link = new Link({ onState, onPicture, onProblem, onLink });
const view = new View($("view"), {
  onBox: (box) => link.send("box", { camera: large, box }),
  onClick: ([x, y]) => link.send("click", { camera: large, x, y }),
});

// --- what comes

function onState(news) {
  const before = state;
  state = { ...state, ...news }; // only what is new comes
  if (!state.cameras.some((camera) => camera.name === large)) large = state.cameras[0]?.name ?? null;
  const changed = (key) => JSON.stringify(before?.[key]) !== JSON.stringify(state[key]);
  if (changed("cameras")) showCameras();
  if (changed("choice") || changed("abilities")) showScene();
  if (changed("choice") || changed("source")) startOver();
  if (changed("regions") || changed("records")) showRegions();
  if (!state.segments.length) $("granularity").value = "";
  if (changed("turns")) showTurns();
  showStatus();
  showView();
  if (changed("regions") || changed("choice") || (changed("phase") && before)) preview();
}

function onPicture(camera, bitmap) {
  bitmaps.set(camera, bitmap);
  if (camera === large) showView();
  const small = document.querySelector(`#cameras canvas[data-camera="${CSS.escape(camera)}"]`);
  small?.getContext("2d").drawImage(bitmap, 0, 0, small.width, small.height);
}

function onProblem(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

function onLink(connected) {
  $("lost").hidden = connected;
  if (!connected && state) showStatus();
}

// --- what is shown

const draws = () => ready() && (state.abilities.takes_regions || state.abilities.reads);
const ready = () => link.connected && state?.phase === "ready";

function showView() {
  view.show({
    camera: state?.cameras.find((camera) => camera.name === large) ?? null,
    bitmap: bitmaps.get(large) ?? null,
    outlines: state?.found?.outlines ?? [],
    regions: draws() ? state.regions : [], // where things were, before it moved
    segments: state?.segments ?? [],
    enabled: draws(),
  });
  const seen = state?.found?.outlines.some((outline) => outline.camera === large);
  $("legend").hidden = !seen;
  $("hint").hidden = !(draws() && !state.regions.length && !seen);
  $("masks").hidden = !(draws() && state.abilities.reads);
}

function showCameras() {
  for (const name of bitmaps.keys()) {
    if (!state.cameras.some((camera) => camera.name === name)) bitmaps.delete(name);
  }
  $("cameras").replaceChildren(...state.cameras.map(({ name }) => {
    const button = document.createElement("button");
    const canvas = Object.assign(document.createElement("canvas"), { width: 208, height: 208 });
    const label = Object.assign(document.createElement("span"), { textContent: name });
    canvas.dataset.camera = name;
    button.append(canvas, label);
    button.type = "button";
    button.setAttribute("aria-pressed", String(name === large));
    button.onclick = () => { large = name; pressCamera(); showView(); };
    return button;
  }));
}

function pressCamera() {
  for (const button of $("cameras").children) {
    const own = button.firstChild.dataset.camera;
    button.setAttribute("aria-pressed", String(own === large));
  }
}

function showScene() {
  const { abilities, choice, source } = state;
  $("scene").hidden = !(abilities.arranges && choice);
  $("leave").hidden = source !== "picture";
  fill($("task"), abilities.tasks, choice?.task);
  fill($("condition"), abilities.scenes, choice?.scene);
  $("seed").value = choice?.seed ?? "";
  for (const id of ["task", "condition"]) $(id).parentElement.hidden = !$(id).options.length;
  $("seed").parentElement.hidden = !abilities.tasks.length;
  $("estop").hidden = !abilities.confirms;
}

function fill(select, names, chosen) {
  const options = names.map((name) => new Option(name.replaceAll("_", " "), name));
  select.replaceChildren(...options);
  if (chosen) select.value = chosen;
}

function startOver() {
  $("suggestion").textContent = `Try: ${state.goal}`;
  $("goal").placeholder = state.goal || "the red cup";
  if ($("goal").value === suggested) writeGoal("");
  suggested = "";
}

function showStatus() {
  const { phase, status, success, found, problem, estopped } = state;
  const line = $("status");
  line.dataset.phase = phase;
  line.dataset.success = phase === "ready" ? String(success) : "";
  line.toggleAttribute("data-stopped", Boolean(estopped));
  line.children[1].textContent = estopped ? `Emergency stop: ${estopped}` : status;
  line.children[2].textContent = found ? foundText(found) : "";
  onProblem(problem);
  const idle = ready();
  $("go").disabled = !(idle && state.abilities.acts && !estopped);
  $("ask").hidden = !state.abilities.reads;
  $("ask").disabled = !idle;
  $("stop").disabled = phase !== "acting";
  $("release").hidden = !estopped;
  for (const control of $("scene").elements) control.disabled = !idle;
  $("suggestion").hidden = !(idle && state.goal && !$("goal").value);
}

function foundText({ status, presence }) {
  return presence === null ? status : `${status} ${Math.round(100 * presence)} %`;
}

function showRegions() {
  const numbers = [...new Set(state.regions.map((region) => region.index))].sort();
  $("regions").replaceChildren(...numbers.map((number) => {
    const item = document.createElement("li");
    const insert = Object.assign(document.createElement("button"), {
      type: "button", title: "Put it into the text", textContent: nameOf(number),
      onclick: () => insertTag(number),
    });
    const remove = Object.assign(document.createElement("button"), {
      type: "button", title: "Remove it", textContent: "×",
      onclick: () => link.send("remove", { index: number }),
    });
    remove.setAttribute("aria-label", `Remove region ${number}`);
    item.append(insert, remove);
    return item;
  }));
  $("json").hidden = !state.records.length;
  suggestFor(numbers);
}

/** Return a region's number, and what it is said to be. */
function nameOf(number) {
  const record = state.records.find(({ region_id }) => region_id === number);
  return record?.label ? `${number} · ${record.label}` : `region ${number}`;
}

/** Write the goal that regions stand for, where the text is empty or was written here. */
function suggestFor(numbers) {
  if ($("goal").value && $("goal").value !== suggested) return;
  const [first, second] = numbers.map((number) => `<region${number}>`);
  suggested = second ? `put ${first} on ${second}` : first ? `pick up ${first}` : "";
  writeGoal(suggested);
}

function showTurns() {
  const list = $("turns");
  list.replaceChildren(...state.turns.map(({ who, text, kind }) => {
    const item = document.createElement("li");
    item.className = `${who} ${kind}`;
    for (const part of text.split(/(<\s*region\s*\d+\s*>)/i)) {
      const number = part.match(/^<\s*region\s*(\d+)/i)?.[1];
      item.append(number ? mark(number) : part);
    }
    return item;
  }));
  list.scrollTop = list.scrollHeight;
}

function mark(number) {
  return Object.assign(document.createElement("span"), {
    className: "mark", textContent: number, title: `region ${number}`,
  });
}

// --- what a person does

function writeGoal(text) {
  $("goal").value = text;
  if (state) $("suggestion").hidden = !(ready() && state.goal && !text);
}

function insertTag(number) {
  const field = $("goal");
  field.setRangeText(`<region${number}>`, field.selectionStart, field.selectionEnd, "end");
  field.focus();
  preview();
}

function preview() {
  clearTimeout(previewing);
  previewing = setTimeout(() => {
    if (ready()) link.send("preview", { text: $("goal").value });
  }, PREVIEW_MS);
}

async function go() {
  if (!ready() || !state.abilities.acts) return;
  const text = $("goal").value.trim() || state.goal;
  if (!$("goal").value.trim()) writeGoal(text);
  clearTimeout(previewing);
  const confirmed = state.abilities.confirms && (await confirms(text));
  if (state.abilities.confirms && !confirmed) return;
  link.send("go", { text, confirmed });
}

function ask() {
  const text = $("goal").value.trim();
  if (!ready() || !state.abilities.reads || !text) return;
  link.send("ask", { text });
  writeGoal("");
}

function confirms(text) {
  const dialog = $("confirm");
  $("asked").textContent = `“${text}”. ${state.abilities.limits}`;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
  });
}

function arrange(episode) {
  const values = { episode };
  if ($("task").value) values.task = $("task").value;
  if ($("condition").value) values.scene = $("condition").value;
  if ($("seed").value) values.seed = Number($("seed").value);
  link.send("arrange", values);
}

$("composer").onsubmit = (event) => { event.preventDefault(); go(); };
$("ask").onclick = ask;
$("granularity").onchange = ({ target }) => {
  const granularity = target.value === "all" ? null : target.value;
  link.send("segment", granularity === "" ? { camera: large, hides: true } : { camera: large, granularity });
};
$("scene").onsubmit = (event) => { event.preventDefault(); arrange(0); };
$("goal").onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (state?.abilities.reads && $("goal").value.trim().endsWith("?")) ask();
  else go();
};
$("goal").oninput = () => { writeGoal($("goal").value); preview(); };
$("suggestion").onclick = () => { writeGoal(state.goal); preview(); $("goal").focus(); };
$("stop").onclick = () => link.send("stop");
$("estop").onclick = () => link.send("estop");
$("release").onclick = () => link.send("release");
$("again").onclick = () => arrange(state.choice.episode);
$("next").onclick = () => arrange(state.choice.episode + 1);
for (const id of ["task", "condition", "seed"]) $(id).onchange = () => arrange(0);
$("leave").onclick = () => link.send("leave");
$("upload").onchange = async ({ target }) => {
  const [file] = target.files;
  target.value = "";
  if (!file) return;
  if (file.size > LARGEST_MB * 2 ** 20) {
    onProblem(`got a picture of ${Math.round(file.size / 2 ** 20)} MB, expected at most ${LARGEST_MB}; shrink it`);
  } else link.sendBytes(await file.arrayBuffer());
};
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && state?.phase === "acting") link.send("stop");
});
