// Suggestions while somebody types into a field that says which part of them it shows. Pages do without this file.
"use strict";

function suggestFor(field) {
  const form = field.form;
  const path = `/api/v1${new URL(form.action).pathname}/suggest`;
  let asking = null;

  async function suggest() {
    if (asking) asking.abort();
    asking = new AbortController();
    const asked = new URLSearchParams();
    for (const element of form.elements) {
      if (element.name && element.value) asked.set(element.name, element.value);
    }
    try {
      const answer = await fetch(`${path}?${asked}`, { signal: asking.signal });
      if (!answer.ok) return;
      const texts = (await answer.json()).suggestions.map((one) => one[field.dataset.suggest]);
      field.list.replaceChildren(
        ...[...new Set(texts)].map((text) => {
          const option = document.createElement("option");
          option.value = text;
          return option;
        }),
      );
    } catch (error) {
      if (error.name !== "AbortError") field.list.replaceChildren();
    }
  }

  field.addEventListener("input", suggest);
}

document.querySelectorAll("input[data-suggest]").forEach(suggestFor);
