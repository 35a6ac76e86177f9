"use strict";

const element = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
// Pixels within which a click means the first corner.
const CLOSE_PX = 14;
// Corners this close to the edge are meant to lie on it.
const EDGE = 0.012;
let state = { masks: [], rotation: 0, save_to: null };
let corners = [];

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const answer = await fetch(path, options);
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

function say(text, wrong = false) {
  element("answer").textContent = text;
  element("answer").className = wrong ? "wrong" : "";
}

async function change(path, body, done) {
  try {
    show(await ask(path, body));
    say(done);
  } catch (error) {
    say(error.message, true);
  }
}

// The picture

async function follow() {
  for (;;) {
    if (document.hidden) {
      await new Promise((wake) => document.addEventListener("visibilitychange", wake, { once: true }));
    }
    try {
      await showFrame(await fetch("frame"));
    } catch (error) {
      tell(error instanceof TypeError ? "The preview has ended." : error.message, true);
      await new Promise((wake) => setTimeout(wake, 1000));
    }
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

async function showFrame(answer) {
  if (!answer.ok) throw new Error((await answer.json()).error);
  const before = element("picture").src;
  element("picture").src = URL.createObjectURL(await answer.blob());
  if (before) URL.revokeObjectURL(before);
  const faces = answer.headers.get("X-Faces");
  const found = faces === "" ? "faces are not looked for here" : `${faces} ${faces === "1" ? "face" : "faces"} found`;
  tell(`${answer.headers.get("X-Size")} pixels, ${found}`);
  turn();
}

function tell(text, wrong = false) {
  element("status").textContent = text;
  element("status").className = wrong ? "wrong" : "";
}

// Upright for the person who looks; masks stay in the picture as the source gives it.
function turn() {
  const turned = element("turned"), stage = element("stage"), picture = element("picture");
  const aside = state.rotation % 180 !== 0;
  const ratio = picture.naturalHeight / picture.naturalWidth || 0.75;
  const width = aside ? stage.clientWidth * ratio : stage.clientWidth;
  if (aside) {
    turned.style.width = `${stage.clientWidth / ratio}px`;
    stage.style.height = `${stage.clientWidth / ratio}px`;
    turned.style.transform = `translate(-50%, -50%) rotate(${state.rotation}deg)`;
    turned.style.position = "absolute";
    turned.style.left = turned.style.top = "50%";
  } else {
    turned.style.width = `${width}px`;
    turned.style.transform = `rotate(${state.rotation}deg)`;
  }
}

// Drawing

// Where the picture is pressed, as fractions of it as the source gives it. Its box is turned back
// here: Safari's getScreenCTM() leaves out what CSS has turned.
function pressed(event) {
  const box = element("turned").getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
  return { 0: [x, y], 90: [y, 1 - x], 180: [1 - x, 1 - y], 270: [1 - y, x] }[state.rotation];
}

function point(event) {
  const within = (value) => value < EDGE ? 0 : value > 1 - EDGE ? 1 : Math.round(value * 1000) / 1000;
  return pressed(event).map(within);
}

function isFirst(event) {
  if (corners.length < 3) return false;
  const [x, y] = pressed(event), [[firstX, firstY]] = corners, turned = element("turned");
  return Math.hypot((x - firstX) * turned.offsetWidth, (y - firstY) * turned.offsetHeight) < CLOSE_PX;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function draw() {
  const points = (list) => list.map(([x, y]) => `${x},${y}`).join(" ");
  const shapes = state.masks.map((mask) => shape("polygon", { points: points(mask) }));
  if (corners.length) {
    shapes.push(shape("polyline", { points: points(corners) }));
    shapes.push(...corners.map(([x, y]) => shape("line", { x1: x, y1: y, x2: x, y2: y })));
  }
  element("drawing").replaceChildren(...shapes);
  element("undo").disabled = !corners.length;
}

element("drawing").addEventListener("click", (event) => {
  if (isFirst(event)) {
    const masks = [...state.masks, corners];
    corners = [];
    change("masks", { masks }, "The mask is in place.");
  } else {
    corners.push(point(event));
  }
  draw();
});

element("undo").addEventListener("click", () => {
  corners.pop();
  draw();
});

// Masks as a list and as lines

let linesAsShown = "";

// What somebody is writing is not written over.
function showLines(toml) {
  const lines = element("toml");
  if (lines.value !== linesAsShown) return;
  lines.value = toml;
  linesAsShown = lines.value;
}

function show(found) {
  state = found;
  element("source").textContent = found.source + (found.rotation ? `, shown turned by ${found.rotation} degrees` : "");
  showLines(found.toml);
  element("save").hidden = found.save_to === null;
  element("save").textContent = `Save into ${found.save_to}`;
  const rows = found.masks.map((mask, n) => {
    const row = document.createElement("li"), remove = document.createElement("button");
    row.textContent = `Mask ${n + 1}, ${mask.length} corners`;
    remove.type = "button";
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", `Remove mask ${n + 1}`);
    remove.addEventListener("click", () => change("masks", { masks: state.masks.filter((_, i) => i !== n) }, "The mask is gone: that area can be seen again."));
    row.append(remove);
    return row;
  });
  element("masks").replaceChildren(...rows);
  draw();
}

element("apply").addEventListener("click", () => {
  linesAsShown = element("toml").value;
  const lines = element("toml").value.replace(/#.*$/gm, "").replace(/^\s*masks\s*=\s*/, "").replace(/,(\s*\])/g, "$1");
  try {
    change("masks", { masks: JSON.parse(lines) }, "These masks are in place.");
  } catch {
    say("These lines are no list of masks: masks = [[[x, y], [x, y], [x, y]]]", true);
  }
});

element("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(element("toml").value);
    say("Copied.");
  } catch {
    element("toml").select();
    say("Press Ctrl+C to copy.");
  }
});

element("save").addEventListener("click", () => change("save", {}, "Saved. Start the camera anew to use it."));

ask("state").then(show).catch((error) => tell(error.message, true));
follow();
window.addEventListener("resize", turn);
