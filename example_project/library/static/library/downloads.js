// When a download starts, says what is sent: its URL answers with JSON where a script asks for that.
// Without scripts, the download is all there is.
"use strict";

const place = document.querySelector(".announced");

async function announce(url, opener) {
  place.replaceChildren();
  const response = await fetch(url, {headers: {Accept: "application/json"}});
  // Else the browser goes to the page that says why.
  if (!response.ok || response.redirected) return;
  const text = document.createElement("p");
  text.textContent = (await response.json()).text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "button plain";
  close.textContent = "×";
  close.setAttribute("aria-label", "Close");
  close.addEventListener("click", () => {
    place.replaceChildren();
    opener.focus({preventScroll: true});
  });
  place.replaceChildren(text, close);
}

for (const link of document.querySelectorAll("a[data-download]")) {
  link.addEventListener("click", () => announce(link.href, link));
}

if (place) {
  const form = place.closest("form");
  form.addEventListener("submit", (event) => {
    announce(`${form.action}?${new URLSearchParams(new FormData(form))}`, event.submitter);
  });
}
