// Suggestions while somebody types. The page does without this file.
"use strict";

const form = document.querySelector("main form");
const field = document.getElementById("q");
const list = document.getElementById("suggestions");
let asking = null;

async function suggest() {
  if (asking) asking.abort();
  asking = new AbortController();
  const asked = new URLSearchParams();
  for (const name of ["q", "school", "class"]) {
    if (form.elements[name].value) asked.set(name, form.elements[name].value);
  }
  try {
    const answer = await fetch(`/api/v1/profiles/suggest?${asked}`, { signal: asking.signal });
    if (!answer.ok) return;
    const names = (await answer.json()).suggestions.map((person) => person.name);
    list.replaceChildren(
      ...[...new Set(names)].map((name) => {
        const option = document.createElement("option");
        option.value = name;
        return option;
      }),
    );
  } catch (error) {
    if (error.name !== "AbortError") list.replaceChildren();
  }
}

field.addEventListener("input", suggest);
