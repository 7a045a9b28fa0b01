// Sends a photo that was dropped, chosen, pasted or taken, and shows the answer.

import { startCamera, stopCamera } from "./camera.js";

const find = selector => document.querySelector(selector);
const result = find("#result"), photo = find(".photo"), drop = find(".drop");
const chosen = find("#chosen"), note = find("#note"), file = find("#file"), phone = find("#phone");
const [tools, cameraTools] = document.querySelectorAll(".tools");
let asking = null; // the request that is under way

function say(text) {
  note.textContent = text;
  note.hidden = !text;
}

function showError(text) {
  const line = document.createElement("p"), strong = document.createElement("strong");
  line.className = "said none";
  strong.textContent = "No answer.";
  line.append(strong, ` ${text}`);
  result.replaceChildren(line);
}

async function ask(address, body) {
  asking?.abort();
  const mine = asking = new AbortController();
  result.ariaBusy = "true";
  try {
    const response = await fetch(address, { method: "POST", body, signal: mine.signal });
    if (response.ok) {
      result.innerHTML = await response.text(); // The server has escaped every name.
      prepareAnswer();
    } else {
      showError((await response.json()).error);
    }
  } catch {
    if (mine.signal.aborted) return; // Another photo has been chosen.
    showError("The server did not respond. Is it still running? Then try again.");
  }
  if (asking === mine) result.ariaBusy = "false";
  result.scrollIntoView({ block: "nearest", behavior: "smooth" });
}

function prepareAnswer() {
  const look = result.querySelector(".look"), slider = look.querySelector("input");
  const stack = look.querySelector(".stack");
  stack.style.setProperty("--ratio", stack.dataset.ratio);
  slider?.addEventListener("input", () => look.style.setProperty("--heat", slider.value / 100));
}

function markExample(button) {
  for (const each of document.querySelectorAll(".examples button")) {
    each.ariaPressed = String(each === button);
  }
}

function showPhoto(blob) {
  if (chosen.src) URL.revokeObjectURL(chosen.src);
  chosen.hidden = !blob;
  drop.hidden = Boolean(blob);
  if (blob) chosen.src = URL.createObjectURL(blob);
  else chosen.removeAttribute("src");
}

function send(blob) {
  if (!blob) return;
  endCamera();
  say("");
  markExample(null);
  showPhoto(blob);
  ask("explain", blob);
}

// Not every browser can show a HEIC photo, but the server can read it.
chosen.addEventListener("error", () => {
  if (!chosen.src) return;
  showPhoto(null);
  say("This browser cannot show the photo.");
});

for (const input of [file, phone]) {
  input.addEventListener("change", () => {
    send(input.files[0]);
    input.value = ""; // so that the same photo can be chosen again
  });
}
find("#upload").addEventListener("click", () => file.click());

document.addEventListener("dragover", event => {
  event.preventDefault();
  photo.classList.add("over");
});
document.addEventListener("dragleave", event => {
  if (!event.relatedTarget) photo.classList.remove("over");
});
document.addEventListener("drop", event => {
  event.preventDefault();
  photo.classList.remove("over");
  if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
  else say("That is not a file: save the photo first, then drop it here.");
});

document.addEventListener("paste", event => send(event.clipboardData.files[0]));
find("#paste").hidden = !navigator.clipboard?.read;
find("#paste").addEventListener("click", async () => {
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find(each => each.startsWith("image/"));
      if (type) return send(await item.getType(type));
    }
    say("The clipboard contains no photo.");
  } catch {
    say("The browser does not allow it; press Ctrl+V or ⌘V instead.");
  }
});

find("#take").addEventListener("click", async () => {
  if (matchMedia("(pointer: coarse)").matches) return phone.click();
  try {
    await startCamera();
  } catch (error) {
    return say(error.message);
  }
  say("");
  showPhoto(null);
  drop.hidden = tools.hidden = true;
  cameraTools.hidden = false;
});
find("#shoot").addEventListener("click", async () => send(await stopCamera()));
find("#stop").addEventListener("click", endCamera);

function endCamera() {
  stopCamera();
  cameraTools.hidden = true;
  drop.hidden = tools.hidden = false;
}

for (const button of document.querySelectorAll(".examples button")) {
  button.addEventListener("click", () => {
    endCamera();
    say("");
    showPhoto(null);
    markExample(button);
    ask("example", button.value);
  });
}
