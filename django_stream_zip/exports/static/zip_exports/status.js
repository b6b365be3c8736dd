// Shows how far an export is, and loads the page again when its state has changed for good.
"use strict";

(() => {
  const place = document.getElementById("zip-export");
  const bar = place.querySelector("progress");
  const text = place.querySelector("[data-text]");
  const working = ["queued", "building", "finishing"];

  const show = (status) => {
    if (!working.includes(status.state)) {
      location.reload();
      return false;
    }
    if (text.textContent !== status.text) text.textContent = status.text;
    if (status.fraction === null) bar.removeAttribute("value");
    else bar.value = Math.floor(status.fraction * 100);
    return true;
  };

  const ask = async () => {
    let seconds = 5;
    try {
      const response = await fetch(location.href, {headers: {Accept: "application/json"}});
      if (response.ok) {
        seconds = Number(response.headers.get("Retry-After")) || seconds;
        if (!show(await response.json())) return;
      } else if (response.status < 500) {
        location.reload(); // logged out, or deleted
        return;
      }
    } catch (error) {
      // The network is away: ask again.
    }
    setTimeout(ask, seconds * 1000);
  };

  setTimeout(ask, 1000);
})();
