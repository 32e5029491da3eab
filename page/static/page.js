// Runs when the chooser is there: `element` is it, `trigger` tells the server.
const base = new URL(".", document.baseURI);
const find = (selector, from) => (from || document).querySelector(selector);
let request = null;

// gradio ends its stream of events when nothing is pending. What is asked while the word of that is on its way is computed and
// told to nobody until a next event opens a stream; so as long as something is pending here, there is a next event.
const NUDGES_MS = [700, 1500, 3000, 6000];
let pending = 0, nudge = 0;
function hearOut(times) {
  clearTimeout(nudge);
  nudge = setTimeout(() => {
    if (!pending) return;
    trigger("focus", {});
    hearOut(times + 1);
  }, NUDGES_MS[Math.min(times, NUDGES_MS.length - 1)]);
}
document.addEventListener("asked", () => { pending += 1; hearOut(0); });
document.addEventListener("ended", () => { pending = Math.max(0, pending - 1); });

// A page that is loaded again, by hand or by gradio after a broken connection, goes on with its video.
const KEPT = "video";
function remember(token) {
  try { if (token) sessionStorage.setItem(KEPT, token); else sessionStorage.removeItem(KEPT); } catch { /* not allowed here */ }
}
document.addEventListener("ended", () => { const place = find("#whole"); if (place || !pending) remember(place && place.dataset.token); });
setTimeout(() => {
  let kept = null;
  try { kept = sessionStorage.getItem(KEPT); } catch { /* not allowed here */ }
  if (kept) trigger("submit", { video: kept, again: true });
});

// What comes may lie below the screen, and takes the place of what had the focus.
let looking = false, before = [], held = -1;
const came = () => find("#asking .fault") || find("#answer .answer");
const parts = () => [...document.querySelectorAll("#answer button, #answer [tabindex]")];
function bring(place) {
  const { top } = place.getBoundingClientRect();
  if (top < 0 || top > 0.6 * innerHeight) place.scrollIntoView({ block: "start", behavior: "smooth" });
}
document.addEventListener("asked", (e) => {
  if (e.detail !== "question") return;
  looking = true;
  before = [find("#asking .fault"), find("#answer .answer")];
});
document.addEventListener("ended", () => {
  if (looking && !pending && came()) bring(came());   // the very same as before
  if (!pending) looking = false;
});
document.addEventListener("focusin", (e) => { held = parts().indexOf(e.target); });
new MutationObserver(() => {
  const place = came(), state = find("#asking .state");
  if (looking && place && !before.includes(place)) {
    looking = false;
    bring(place);
  } else if (looking && state) state.scrollIntoView({ block: "nearest" });
  if (held >= 0 && document.activeElement === document.body && parts()[held]) parts()[held].focus({ preventScroll: true });
}).observe(document.body, { childList: true, subtree: true });

const clock = (s) => {
  const whole = Math.floor(s), two = (n) => String(n).padStart(2, "0"), m = Math.floor(whole / 60);
  return m < 60 ? m + ":" + two(whole % 60) : Math.floor(m / 60) + ":" + two(m % 60) + ":" + two(whole % 60);
};
const show = (selector, visible) => { const e = find(selector, element); if (e) e.hidden = !visible; };
const fault = (text) => {
  const place = find(".upload-error", element);
  place.textContent = text;
  place.hidden = !text;
};

function send(file) {
  if (request) request.abort();
  fault("");
  const limits = find(".drop", element).dataset;   // said here, since an answer to a body that is still coming may be lost
  if (!file.size) return fault(limits.empty);
  if (file.size > Number(limits.most)) return fault(limits.tooLarge);
  const text = find(".upload-text", element), bar = find(".upload progress", element);
  const mine = request = new XMLHttpRequest();
  const end = (message) => {
    if (request !== mine) return;
    request = null;
    show(".upload", false);
    fault(message);
  };
  mine.open("POST", new URL("videos?name=" + encodeURIComponent(file.name), base));
  mine.upload.onprogress = (e) => {
    bar.value = e.total ? e.loaded / e.total : 0;
    text.textContent = "Sending “" + file.name + "” … " + Math.floor(100 * bar.value) + " %";
  };
  mine.onload = () => {
    let said = {};
    try { said = JSON.parse(mine.responseText); } catch { /* what came is no answer of ours */ }
    end(mine.status === 200 ? "" : said.error || "The file could not be sent (" + mine.status + "). Try again.");
    if (mine.status !== 200) return;
    if (!whole()) remember(said.video);
    trigger("submit", { video: said.video });
  };
  mine.onerror = () => end("The connection broke while “" + file.name + "” was being sent. Check it, then choose the file again.");
  mine.onabort = () => end("");
  bar.value = 0;
  text.textContent = "Sending “" + file.name + "” …";
  show(".upload", true);
  mine.send(file);
}

async function sendSubtitles(input) {
  const said = find("#subtitles-said"), file = input.files[0], token = find("#whole").dataset.token;
  input.value = "";
  if (!file) return;
  try {
    const answer = await fetch(new URL("videos/" + token + "/subtitles?name=" + encodeURIComponent(file.name), base),
      { method: "POST", body: file });
    const told = await answer.json();
    said.textContent = answer.ok ? told.lines + " lines, " + told.name : told.error;
    said.classList.toggle("fault", !answer.ok);
    said.classList.toggle("soft", answer.ok);
  } catch {
    said.textContent = "The connection broke. Choose the file again.";
  }
}

const whole = () => find("#whole video");
const cutData = () => { const c = find("#cut"); return c && JSON.parse(c.dataset.cut); };

function playAt(video, s) {
  const go = () => {
    video.currentTime = s;
    const started = video.play();
    if (started) started.catch(() => {});
  };
  if (video.readyState >= 1) go(); else { video.addEventListener("loadedmetadata", go, { once: true }); video.load(); }
  video.scrollIntoView({ block: "nearest", behavior: "smooth" });
}
function playCut(number, s) {
  const video = find("#cut video"), data = cutData(), address = new URL(data.files[number], base).href;
  if (video.currentSrc.split("#")[0] !== address) video.src = address;
  playAt(video, s + 0.01);
}
function seek(s) {
  const video = whole();
  if (video && !video.error) {
    const cut = find("#cut video");
    if (cut) cut.pause();
    return playAt(video, s);
  }
  const data = cutData(), piece = data && data.pieces.find((p) => s >= p[0] && s < p[1]);
  if (piece) playCut(piece[3], piece[2] + s - piece[0]);
}

function point(time, s) {
  const end = Number(time.dataset.end), starts = JSON.parse(time.dataset.starts), scores = JSON.parse(time.dataset.scores);
  const at = Math.min(Math.max(s, 0), end), clip = Math.max(0, starts.findLastIndex((start) => start <= at));
  const label = find(".peek", time), needle = find(".needle", time);
  needle.style.display = label.style.display = "block";
  needle.style.left = 100 * at / end + "%";
  label.textContent = clock(at) + " · score " + scores[clip].toFixed(2);
  const half = label.offsetWidth / 2;
  label.style.left = Math.min(Math.max(time.clientWidth * at / end, half), time.clientWidth - half) + "px";
  time.setAttribute("aria-valuenow", at.toFixed(1));
  time.setAttribute("aria-valuetext", label.textContent);
  time.dataset.at = at;
  return { starts, clip };
}
const where = (time, e) => {
  const box = time.getBoundingClientRect();
  return Number(time.dataset.end) * (e.clientX - box.left) / box.width;
};
const hide = (time) => { find(".needle", time).style.display = find(".peek", time).style.display = "none"; };

const on = (name, selector, act) => document.addEventListener(name, (e) => {
  const found = e.target.closest && e.target.closest(selector);
  if (found) act(found, e);
});
on("change", "#file", (input) => { if (input.files[0]) send(input.files[0]); input.value = ""; });
on("change", "#subtitles", sendSubtitles);
on("change", "#folder", (select) => {
  if (!select.value) return;
  fault("");
  trigger("select", { folder: select.value });
  select.value = "";
});
on("click", "[data-example]", () => { fault(""); trigger("select", { example: true }); });
on("click", "[data-abort]", () => { if (request) request.abort(); });
on("click", "[data-remove]", () => trigger("clear", {}));
on("click", "[data-seek]", (button) => seek(Number(button.dataset.seek)));
on("click", ".kept-list [data-cut]", (button) => playCut(Number(button.dataset.file), Number(button.dataset.cut)));
on("pointermove", ".time", (time, e) => point(time, where(time, e)));
on("pointerout", ".time", (time, e) => { if (!time.contains(e.relatedTarget)) hide(time); });
on("focusout", ".time", hide);
on("click", ".time", (time, e) => { point(time, where(time, e)); seek(Number(time.dataset.at)); });
on("keydown", ".time", (time, e) => {
  const { starts, clip } = point(time, Number(time.dataset.at || 0)), last = starts.length - 1;
  const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[e.key];
  if (step) point(time, starts[Math.min(Math.max(clip + step, 0), last)]);
  else if (e.key === "Home") point(time, 0);
  else if (e.key === "End") point(time, starts[last]);
  else if (e.key === "Enter" || e.key === " ") seek(Number(time.dataset.at));
  else return;
  e.preventDefault();
});
on("dragover", ".gradio-container", (_, e) => {
  if (![...e.dataTransfer.types].includes("Files")) return;
  e.preventDefault();
  find(".drop", element).classList.add("over");
});
document.addEventListener("dragleave", (e) => { if (!e.relatedTarget) find(".drop", element).classList.remove("over"); });
on("drop", ".gradio-container", (_, e) => {
  find(".drop", element).classList.remove("over");
  if (!e.dataTransfer.files.length) return;
  e.preventDefault();
  send(e.dataTransfer.files[0]);
});
document.addEventListener("error", (e) => {
  if (e.target === whole()) find("#whole .unplayable").hidden = false;
}, true);
document.addEventListener("timeupdate", (e) => {
  const time = find(".time"), play = time && find(".needle.play", time);
  if (!play || e.target !== whole()) return;
  play.style.display = "block";
  play.style.left = 100 * e.target.currentTime / Number(time.dataset.end) + "%";
}, true);
