// Switches the buttons of the bar off while nothing is ticked. Without scripts they stay on, and the
// server says that nothing was selected.

const form = document.querySelector("form");

function update() {
  const nothing = !form.querySelector(":checked");
  for (const button of form.querySelectorAll(".bar button")) button.disabled = nothing;
}

if (form) {
  form.addEventListener("change", update);
  // The boxes are cleared after the event, not before it.
  form.addEventListener("reset", () => setTimeout(update));
  // A browser that goes back may bring the ticks with it.
  addEventListener("pageshow", update);
}
