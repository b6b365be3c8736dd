// Shows how far exports are, and loads the page again when the state of one has changed for good.
// Each is an element with `data-zip-export`, the URL of its status; empty, it is that of the page.
"use strict";

(() => {
  const working = ["queued", "building", "finishing"];

  const watch = (place) => {
    const url = place.dataset.zipExport || location.href;
    const bar = place.querySelector("progress");

    const show = (status) => {
      if (!working.includes(status.state)) {
        location.reload();
        return false;
      }
      for (const name of ["text", "label"]) {
        const shown = place.querySelector(`[data-${name}]`);
        if (shown && shown.textContent !== status[name]) shown.textContent = status[name];
      }
      if (status.fraction === null) bar?.removeAttribute("value");
      else if (bar) bar.value = Math.floor(status.fraction * 100);
      return true;
    };

    const ask = async () => {
      let seconds = 5;
      try {
        const response = await fetch(url, {headers: {Accept: "application/json"}});
        if (response.ok) {
          seconds = Number(response.headers.get("Retry-After")) || seconds;
          if (!show(await response.json())) return;
        } else if ([401, 403, 404, 410].includes(response.status)) {
          location.reload(); // logged out, or deleted
          return;
        }
      } catch (error) {
        // The network is away: ask again.
      }
      setTimeout(ask, seconds * 1000);
    };

    setTimeout(ask, 1000);
  };

  document.querySelectorAll("[data-zip-export]").forEach(watch);
})();
