// Gradio runs this script once the video input is on the page: `element` is the video input, `trigger` sends its events to the server.
const base = new URL(".", document.baseURI);
const find = (selector, from) => (from || document).querySelector(selector);
let activeUpload = null;

// Gradio closes its event stream when no event is pending. An event that starts while the "close" message is still on its
// way is computed, but its result reaches the page only after a further event has opened a new stream. So as long as an
// event is pending here, this script triggers another one, which does nothing.
const NUDGE_DELAYS_MS = [700, 1500, 3000, 6000];
let pending = 0, nudgeTimer = 0;
function scheduleNudge(count) {
  clearTimeout(nudgeTimer);
  nudgeTimer = setTimeout(() => {
    if (!pending) return;
    trigger("focus", {});
    scheduleNudge(count + 1);
  }, NUDGE_DELAYS_MS[Math.min(count, NUDGE_DELAYS_MS.length - 1)]);
}
document.addEventListener("event-start", () => { pending += 1; scheduleNudge(0); });
document.addEventListener("event-end", () => { pending = Math.max(0, pending - 1); });

// A page that is reloaded, by the user or by Gradio after a broken connection, continues with its video.
const STORAGE_KEY = "video";
function storeToken(token) {
  try {
    if (token) sessionStorage.setItem(STORAGE_KEY, token); else sessionStorage.removeItem(STORAGE_KEY);
  } catch { /* The browser does not allow storage. */ }
}
document.addEventListener("event-end", () => {
  const section = find("#source-video");
  if (section || !pending) storeToken(section && section.dataset.token);
});
setTimeout(() => {
  let token = null;
  try { token = sessionStorage.getItem(STORAGE_KEY); } catch { /* The browser does not allow storage. */ }
  if (token) trigger("submit", { video: token, reloaded: true });
});

// A new result may be below the visible part of the page, and it replaces the element that had the focus.
let awaitingResult = false, shownBefore = [], focusIndex = -1;
const currentResult = () => find("#request-status .error") || find("#answer .answer");
const focusable = () => [...document.querySelectorAll("#answer button, #answer [tabindex]")];
function bringIntoView(section) {
  const { top } = section.getBoundingClientRect();
  if (top < 0 || top > 0.7 * innerHeight) section.scrollIntoView({ block: "start", behavior: "smooth" });
}
document.addEventListener("event-start", (e) => {
  if (e.detail !== "request") return;
  awaitingResult = true;
  shownBefore = [find("#request-status .error"), find("#answer .answer")];
});
document.addEventListener("event-end", () => {
  // A result that equals the one before replaces no element, so the observer below does not see it.
  if (awaitingResult && !pending && currentResult()) bringIntoView(currentResult());
  if (!pending) awaitingResult = false;
});
document.addEventListener("focusin", (e) => { focusIndex = focusable().indexOf(e.target); });
new MutationObserver(() => {
  const result = currentResult(), progress = find("#request-status .progress");
  if (awaitingResult && result && !shownBefore.includes(result)) {
    awaitingResult = false;
    bringIntoView(result);
  } else if (awaitingResult && progress) progress.scrollIntoView({ block: "nearest" });
  const lost = focusIndex >= 0 && document.activeElement === document.body;
  if (lost && focusable()[focusIndex]) focusable()[focusIndex].focus({ preventScroll: true });
}).observe(document.body, { childList: true, subtree: true });

const clock = (s) => {
  const total = Math.floor(s), two = (n) => String(n).padStart(2, "0"), m = Math.floor(total / 60);
  return m < 60 ? m + ":" + two(total % 60) : Math.floor(m / 60) + ":" + two(m % 60) + ":" + two(total % 60);
};
const show = (selector, visible) => { const e = find(selector, element); if (e) e.hidden = !visible; };
const showUploadError = (text) => {
  const line = find(".upload-error", element);
  line.textContent = text;
  line.hidden = !text;
};

function uploadVideo(file) {
  if (activeUpload) activeUpload.abort();
  showUploadError("");
  // The limits are checked here too, since browsers may lose a response that comes while they are still uploading.
  const limits = find(".dropzone", element).dataset;
  if (!file.size) return showUploadError(limits.empty);
  if (file.size > Number(limits.maxBytes)) return showUploadError(limits.tooLarge);
  const text = find(".upload-text", element), bar = find(".upload progress", element);
  const mine = activeUpload = new XMLHttpRequest();
  const end = (message) => {
    if (activeUpload !== mine) return;
    activeUpload = null;
    show(".upload", false);
    showUploadError(message);
  };
  mine.open("POST", new URL("videos?name=" + encodeURIComponent(file.name), base));
  mine.upload.onprogress = (e) => {
    bar.value = e.total ? e.loaded / e.total : 0;
    text.textContent = "Uploading “" + file.name + "” … " + Math.floor(100 * bar.value) + " %";
  };
  mine.onload = () => {
    let reply = {};
    try { reply = JSON.parse(mine.responseText); } catch { /* A proxy may reply with something else than JSON. */ }
    end(mine.status === 200 ? "" : reply.error || "The upload failed (status " + mine.status + "). Try again.");
    if (mine.status !== 200) return;
    if (!sourceVideo()) storeToken(reply.video);
    trigger("submit", { video: reply.video });
  };
  mine.onerror = () => end("The connection was interrupted while “" + file.name + "” was being uploaded. "
    + "Check it, then choose the file again.");
  mine.onabort = () => end("");
  bar.value = 0;
  text.textContent = "Uploading “" + file.name + "” …";
  show(".upload", true);
  mine.send(file);
}

async function uploadSubtitles(input) {
  const status = find("#subtitles-status"), file = input.files[0], token = find("#source-video").dataset.token;
  input.value = "";
  if (!file) return;
  try {
    const response = await fetch(new URL("videos/" + token + "/subtitles?name=" + encodeURIComponent(file.name), base),
      { method: "POST", body: file });
    const reply = await response.json();
    const note = reply.note ? "; " + reply.note : "";
    status.textContent = response.ok ? reply.lines + " lines, " + reply.name + note : reply.error;
    status.classList.toggle("error", !response.ok);
    status.classList.toggle("soft", response.ok);
  } catch {
    status.textContent = "The connection was interrupted. Choose the file again.";
  }
}

const sourceVideo = () => find("#source-video video");
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
// Play the source video at a time; if the browser cannot play it, play the cut at the same moment.
function seek(s) {
  const video = sourceVideo();
  if (video && !video.error) {
    const cut = find("#cut video");
    if (cut) cut.pause();
    return playAt(video, s);
  }
  const data = cutData(), piece = data && data.pieces.find((p) => s >= p[0] && s < p[1]);
  if (piece) playCut(piece[3], piece[2] + s - piece[0]);
}

// Show the cursor, the time and the score at a position of the timeline.
function showTime(timeline, s) {
  const end = Number(timeline.dataset.end);
  const starts = JSON.parse(timeline.dataset.starts), scores = JSON.parse(timeline.dataset.scores);
  const at = Math.min(Math.max(s, 0), end), clip = Math.max(0, starts.findLastIndex((start) => start <= at));
  const label = find(".time-label", timeline), cursor = find(".cursor", timeline);
  cursor.style.display = label.style.display = "block";
  cursor.style.left = 100 * at / end + "%";
  label.textContent = clock(at) + " · score " + scores[clip].toFixed(2);
  const half = label.offsetWidth / 2;
  label.style.left = Math.min(Math.max(timeline.clientWidth * at / end, half), timeline.clientWidth - half) + "px";
  timeline.setAttribute("aria-valuenow", at.toFixed(1));
  timeline.setAttribute("aria-valuetext", label.textContent);
  timeline.dataset.at = at;
  return { starts, clip };
}
const timeAt = (timeline, e) => {
  const box = timeline.getBoundingClientRect();
  return Number(timeline.dataset.end) * (e.clientX - box.left) / box.width;
};
const hideTime = (timeline) => {
  find(".cursor", timeline).style.display = find(".time-label", timeline).style.display = "none";
};

const on = (name, selector, act) => document.addEventListener(name, (e) => {
  const found = e.target.closest && e.target.closest(selector);
  if (found) act(found, e);
});
on("change", "#file", (input) => { if (input.files[0]) uploadVideo(input.files[0]); input.value = ""; });
on("change", "#subtitles", uploadSubtitles);
on("change", "#folder", (select) => {
  if (!select.value) return;
  showUploadError("");
  trigger("select", { folder: select.value });
  select.value = "";
});
on("click", "[data-example]", () => { showUploadError(""); trigger("select", { example: true }); });
on("click", "[data-cancel-upload]", () => { if (activeUpload) activeUpload.abort(); });
on("click", "[data-remove]", () => trigger("clear", {}));
on("click", "[data-seek]", (button) => seek(Number(button.dataset.seek)));
on("click", ".piece-list [data-cut]", (button) => playCut(Number(button.dataset.file), Number(button.dataset.cut)));
on("pointermove", ".timeline", (timeline, e) => showTime(timeline, timeAt(timeline, e)));
on("pointerout", ".timeline", (timeline, e) => { if (!timeline.contains(e.relatedTarget)) hideTime(timeline); });
on("focusout", ".timeline", hideTime);
on("click", ".timeline", (timeline, e) => { showTime(timeline, timeAt(timeline, e)); seek(Number(timeline.dataset.at)); });
on("keydown", ".timeline", (timeline, e) => {
  const { starts, clip } = showTime(timeline, Number(timeline.dataset.at || 0)), last = starts.length - 1;
  const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[e.key];
  if (step) showTime(timeline, starts[Math.min(Math.max(clip + step, 0), last)]);
  else if (e.key === "Home") showTime(timeline, 0);
  else if (e.key === "End") showTime(timeline, starts[last]);
  else if (e.key === "Enter" || e.key === " ") seek(Number(timeline.dataset.at));
  else return;
  e.preventDefault();
});
on("dragover", ".gradio-container", (_, e) => {
  if (![...e.dataTransfer.types].includes("Files")) return;
  e.preventDefault();
  find(".dropzone", element).classList.add("over");
});
document.addEventListener("dragleave", (e) => {
  if (!e.relatedTarget) find(".dropzone", element).classList.remove("over");
});
on("drop", ".gradio-container", (_, e) => {
  find(".dropzone", element).classList.remove("over");
  if (!e.dataTransfer.files.length) return;
  e.preventDefault();
  uploadVideo(e.dataTransfer.files[0]);
});
document.addEventListener("error", (e) => {
  if (e.target === sourceVideo()) find("#source-video .unplayable").hidden = false;
}, true);
document.addEventListener("timeupdate", (e) => {
  const timeline = find(".timeline"), play = timeline && find(".cursor.play", timeline);
  if (!play || e.target !== sourceVideo()) return;
  play.style.display = "block";
  play.style.left = 100 * e.target.currentTime / Number(timeline.dataset.end) + "%";
}, true);
// The examples of API calls show the address of this server.
document.addEventListener("toggle", (e) => {
  if (!e.target.matches(".api[open]")) return;
  for (const code of e.target.querySelectorAll("pre code")) {
    code.textContent = code.textContent.replace("http://127.0.0.1:7860", base.href.replace(/\/$/, ""));
  }
}, true);
