"use strict";
// Text from class and file names reaches the page through textContent only, never as html.
const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const state = { cell: 0, split: 0, seed: -1, which: "all", row: null, column: null };

function make(tag, options = {}, ...children) {
  const { dataset, ...rest } = options;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, dataset);
  element.append(...children);
  return element;
}

const photoOf = ([split, file, accepted, dominant, thumb]) => ({ split, file, accepted, dominant, thumb });
const photos = data.photos.map(photoOf);
const names = (indices) => indices.map((i) => data.classes[i]).join(" / ");
const percent = (p) => (p >= 0.995 ? "1.00" : p.toFixed(2));
const rowKey = (photo) => (photo.dominant >= 0 ? `0 ${photo.dominant}` : `1 ${photo.accepted.join(" ")}`);

function picture(photo) {
  const box = make("span", { className: "picture" });
  if (photo.thumb < 0) box.append(`no photo: ${photo.file}`);
  else box.append(make("img", { src: data.thumbs[photo.thumb], alt: photo.file, loading: "lazy" }));
  return box;
}

// Photo -> what each seed said, for one cell; all seeds or the chosen one.
function answersOf(cell, seed = -1) {
  const byPhoto = new Map();
  data.answers[cell].forEach((answers, i) => {
    if (seed >= 0 && seed !== i) return;
    for (const [photo, pred, right, top] of answers) {
      if (!byPhoto.has(photo)) byPhoto.set(photo, []);
      byPhoto.get(photo).push({ seed: data.cells[cell].seeds[i], pred, right, top });
    }
  });
  return byPhoto;
}

function shade(right, total) {
  return right === total ? "right" : right === 0 ? "wrong" : "part";
}

function answerLine(answer, withSeed) {
  const p = answer.top.find(([name]) => name === answer.pred)?.[1] ?? 0;
  const others = answer.top.map(([name, q]) => `${data.classes[name]} ${q.toFixed(3)}`).join(", ");
  const line = make("span", { className: `answer ${answer.right ? "yes" : "no"}`, title: others },
    `${data.classes[answer.pred]} ${percent(p)}`);
  if (withSeed) line.append(make("small", { className: "quiet" }, `seed ${answer.seed}`));
  return line;
}

function drawConfusion(entries) {
  const rows = new Map();
  for (const [photo, answers] of entries) {
    const key = rowKey(photo);
    if (!rows.has(key)) rows.set(key, { photo, cells: new Map() });
    for (const answer of answers) {
      const cell = rows.get(key).cells.get(answer.pred) ?? { total: 0, right: 0 };
      cell.total += 1;
      cell.right += answer.right;
      rows.get(key).cells.set(answer.pred, cell);
    }
  }
  const order = [...rows.keys()].sort((a, b) => {
    const [x, y] = [rows.get(a).photo, rows.get(b).photo];
    return (x.dominant < 0) - (y.dominant < 0) || x.dominant - y.dominant ||
      x.accepted.length - y.accepted.length || names(x.accepted).localeCompare(names(y.accepted));
  });
  const head = make("tr", {}, make("th", { scope: "col" }, "in the photo"),
    ...data.classes.map((name) => make("th", { scope: "col" }, name)));
  const body = order.map((key) => {
    const { photo, cells } = rows.get(key);
    const label = photo.dominant >= 0 ? data.classes[photo.dominant] : names(photo.accepted);
    return make("tr", {}, make("th", { scope: "row" }, label), ...data.classes.map((name, column) => {
      const cell = cells.get(column);
      if (!cell) return make("td");
      const button = make("button", {
        type: "button",
        className: shade(cell.right, cell.total),
        title: `${label} predicted as ${name}: ${cell.total}, of which accepted ${cell.right}`,
        dataset: { row: key, column },
      }, String(cell.total));
      button.setAttribute("aria-pressed", String(state.row === key && state.column === column));
      return make("td", {}, button);
    }));
  });
  const legend = make("p", { className: "legend" },
    make("span", { className: "swatch right" }), "accepted ",
    make("span", { className: "swatch wrong" }), "wrong ",
    make("span", { className: "swatch part" }), "accepted on some of the photos. Choose a number to see its photos.");
  find("confusion").replaceChildren(
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)), legend);
}

function drawGallery(entries) {
  const chosen = entries.filter(([photo, answers]) => {
    const right = answers.every((answer) => answer.right);
    if (state.which === "right" && !right) return false;
    if (state.which === "wrong" && right) return false;
    if (state.row === null) return true;
    return rowKey(photo) === state.row && answers.some((answer) => answer.pred === state.column);
  });
  const cards = chosen.map(([photo, answers, index]) => {
    const right = answers.filter((answer) => answer.right).length;
    const text = make("span", { className: "text" },
      ...answers.map((answer) => answerLine(answer, answers.length > 1)),
      make("span", { className: "quiet" }, `accepted: ${names(photo.accepted)}`),
      make("span", { className: "quiet" }, photo.file));
    return make("button", {
      type: "button", className: `card is-${shade(right, answers.length)}`, dataset: { photo: index },
    }, picture(photo), text);
  });
  find("gallery").replaceChildren(...cards);
  const where = `${data.cells[state.cell].label}, ${data.splits[state.split]}`;
  const [kind, ...which] = (state.row ?? "").split(" ").filter(Boolean).map(Number);
  const filter = kind === undefined ? "" :
    `, ${names(which)} predicted as ${data.classes[state.column]} (choose the number again for all)`;
  find("shown").textContent = `${cards.length} of ${entries.length} photos: ${where}${filter}`;
}

function draw() {
  const entries = [...answersOf(state.cell, state.seed)]
    .map(([index, answers]) => [photos[index], answers, index])
    .filter(([photo]) => photo.split === state.split);
  for (const key of ["cell", "split", "seed", "which"]) find(key).value = String(state[key]);
  drawConfusion(entries);
  drawGallery(entries);
}

function options(id, texts, first = 0) {
  find(id).replaceChildren(...texts.map((text, i) => make("option", { value: String(i + first) }, text)));
}

function change(values) {
  const cellChanged = "cell" in values && values.cell !== state.cell;
  Object.assign(state, values);
  if (!("row" in values)) Object.assign(state, { row: null, column: null });
  if (cellChanged || !find("seed").length) {
    state.seed = -1;
    options("seed", ["all", ...data.cells[state.cell].seeds.map(String)], -1);
  }
  draw();
}

// One photo, and what every cell said to it.
function openPhoto(index) {
  const photo = photos[index];
  const rows = data.cells.map((cell, i) => [cell, answersOf(i).get(index)]).filter(([, answers]) => answers)
    .map(([cell, answers]) => make("tr", {}, make("th", { scope: "row" }, cell.label),
      make("td", {}, ...answers.map((answer) => answerLine(answer, answers.length > 1)))));
  const close = make("button", { type: "button", className: "close" }, "Close");
  close.addEventListener("click", () => find("photo").close());
  find("photo").replaceChildren(
    make("div", { className: "top" }, picture(photo),
      make("div", {}, make("strong", {}, photo.file),
        make("div", { className: "quiet" }, data.splits[photo.split]),
        make("div", {}, `accepted: ${names(photo.accepted)}`),
        make("div", {}, photo.dominant >= 0 ? `dominant: ${data.classes[photo.dominant]}` : "no dominant class")),
      close),
    make("table", {}, make("tbody", {}, ...rows)));
  find("photo").showModal();
}

document.querySelector(".controls").hidden = false;
options("cell", data.cells.map((cell) => cell.label));
options("split", data.splits);
for (const id of ["cell", "split", "seed"]) {
  find(id).addEventListener("change", (event) => change({ [id]: Number(event.target.value) }));
}
find("which").addEventListener("change", (event) => change({ which: event.target.value }));
find("confusion").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { row, column } = button.dataset;
  const again = state.row === row && state.column === Number(column);
  change({ row: again ? null : row, column: again ? null : Number(column), which: "all" });
});
find("gallery").addEventListener("click", (event) => {
  const card = event.target.closest(".card");
  if (card) openPhoto(Number(card.dataset.photo));
});
find("photo").addEventListener("click", (event) => {
  if (event.target === find("photo")) find("photo").close();
});
find("results").addEventListener("click", (event) => {
  const button = event.target.closest("button[data-cell]");
  if (!button) return;
  change({ cell: Number(button.dataset.cell), split: Number(button.dataset.split), which: "all" });
  find("photos").scrollIntoView();
});
const first = document.querySelector("#results button[data-cell]");
change({ cell: Number(first.dataset.cell), split: 0 });
