(function () {
  "use strict";
  var data = JSON.parse(document.getElementById("data").textContent);
  var player = document.getElementById("player"), time = document.getElementById("time");
  var needle = document.getElementById("needle"), playhead = document.getElementById("playhead");
  var peek = document.getElementById("peek"), image = document.getElementById("peek-image");
  var label = document.getElementById("peek-text"), at = 0, file = 0, track = null;

  function clock(s) {
    s = Math.floor(s);
    var m = Math.floor(s / 60), two = function (n) { return (n < 10 ? "0" : "") + n; };
    return m < 60 ? m + ":" + two(s % 60) : Math.floor(m / 60) + ":" + two(m % 60) + ":" + two(s % 60);
  }
  function clip(s) {
    var i = 0;
    while (i < data.starts.length - 1 && data.starts[i + 1] <= s) i++;
    return i;
  }
  function toCut(s) {           // Returns the piece that contains a time of the video, or null if it is not kept.
    return data.pieces.filter(function (p) { return s >= p[0] && s < p[1]; })[0] || null;
  }
  function toVideo(s) {         // Converts a time of the playing file to a time of the video.
    var inside = data.pieces.filter(function (p) { return p[3] === file && s >= p[2]; });
    inside.sort(function (a, b) { return b[2] - a[2]; });
    return inside.length ? inside[0][0] + s - inside[0][2] : 0;
  }
  function subtitle() {         // Creates the text track here, because pages from file:// cannot load one.
    if (!track) track = player.addTextTrack("subtitles", "Subtitles");
    Array.prototype.slice.call(track.cues || []).forEach(function (cue) { track.removeCue(cue); });
    data.lines[file].forEach(function (line) {
      track.addCue(new VTTCue(line[0], line[1], line[2].replace(/&/g, "&amp;").replace(/</g, "&lt;")));
    });
    track.mode = data.lines[file].length ? "showing" : "hidden";
  }
  function open(number, cutS) {
    var to = cutS + 0.01, start = function () {
      player.currentTime = to;
      var started = player.play();
      if (started) started.catch(function () {});
    };
    if (number === file) return start();
    file = number;
    player.addEventListener("loadedmetadata", start, { once: true });
    player.src = data.files[number];
    subtitle();
  }
  function play(s) {
    var p = player && toCut(s);
    if (p) open(p[3], p[2] + s - p[0]);
  }
  function place(element, s) {
    element.style.display = "block";
    element.style.left = 100 * s / data.end + "%";
  }
  function show(s) {
    at = Math.min(Math.max(s, 0), data.end);
    var i = clip(at), kept = toCut(at) !== null;
    place(needle, at);
    place(peek, at);
    image.src = data.previews[data.preview_of[i]];
    image.hidden = false;
    label.textContent = clock(at) + " · score " + data.scores[i].toFixed(2) + (kept ? " · in the summary" : "");
    var half = peek.offsetWidth / 2, x = time.clientWidth * at / data.end;
    peek.style.left = Math.min(Math.max(x, half), Math.max(time.clientWidth - half, half)) + "px";
    time.setAttribute("aria-valuenow", at.toFixed(1));
    time.setAttribute("aria-valuetext", label.textContent);
  }
  function hide() { needle.style.display = peek.style.display = "none"; }
  function where(event) {
    var box = time.getBoundingClientRect();
    return data.end * (event.clientX - box.left) / box.width;
  }
  time.addEventListener("pointermove", function (e) { show(where(e)); });
  time.addEventListener("pointerleave", hide);
  time.addEventListener("blur", hide);
  time.addEventListener("click", function (e) { show(where(e)); play(at); });
  time.addEventListener("keydown", function (e) {
    var i = clip(at), step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[e.key];
    if (step) show(data.starts[Math.min(Math.max(i + step, 0), data.starts.length - 1)]);
    else if (e.key === "Home") show(0);
    else if (e.key === "End") show(data.starts[data.starts.length - 1]);
    else if (e.key === "Enter" || e.key === " ") play(at);
    else return;
    e.preventDefault();
  });
  document.querySelectorAll("button[data-cut]").forEach(function (button) {
    button.addEventListener("click", function () {
      open(Number(button.dataset.file), Number(button.dataset.cut));
      player.scrollIntoView({ block: "nearest", behavior: "smooth" });
    });
  });
  if (player) {
    subtitle();
    var keptLines = Array.prototype.slice.call(document.querySelectorAll(".lines .in"));
    var follow = function () {
      var s = toVideo(player.currentTime);
      place(playhead, s);
      keptLines.forEach(function (line) {
        var from = Number(line.dataset.from);
        line.classList.toggle("now", s >= from && s < Number(line.dataset.to));
      });
      if (!player.paused && !player.ended) requestAnimationFrame(follow);
    };
    player.addEventListener("play", follow);
    player.addEventListener("seeked", follow);
  }
})();
