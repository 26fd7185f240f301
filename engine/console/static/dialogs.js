// What is asked before something is done, and what is told afterwards.

import { h, render } from "./dom.js";
import { act, token, unlock } from "./live.js";

const TOLD_MS = 9000;
const told = [];

function show(build) {
  const dialog = document.createElement("dialog");
  document.body.append(dialog);
  return new Promise((resolve) => {
    const close = (answer) => {
      dialog.close();
      resolve(answer);
    };
    const draw = (error, busy) => render(dialog, [build(close, draw, error, busy)]);
    dialog.setAttribute("aria-labelledby", "dialog-title");
    dialog.addEventListener("cancel", () => resolve(null));
    dialog.addEventListener("close", () => dialog.remove());
    draw(null, false);
    dialog.showModal();
  });
}

/** Ask for the token. Resolves with true once the engine has taken it, null if nobody gives it. */
export function askToken() {
  return show((close, draw, error, busy) => {
    const submit = async (event) => {
      event.preventDefault();
      const given = new FormData(event.target).get("token").trim();
      draw(null, true);
      try {
        await unlock(given);
        close(true);
      } catch (failure) {
        draw(failure.message, false);
      }
    };
    return h("form", { onsubmit: submit, class: "dialog" },
      h("h2", { id: "dialog-title" }, "Unlock actions"),
      h("p", null, "Who may act can read the engine’s data folder. Paste what this prints:"),
      h("pre", { class: "command" }, "cat data/console-token"),
      h("label", { for: "token" }, "Token"),
      h("input", { id: "token", name: "token", type: "password", autocomplete: "off", required: true, spellcheck: "false", "aria-describedby": "token-note" }),
      h("p", { id: "token-note", class: "quiet" }, "Where security.auth_token is set, it is that one. This tab keeps it until it is closed."),
      error && h("p", { class: "note failed", role: "alert" }, error),
      h("div", { class: "buttons" },
        h("button", { type: "button", onclick: () => close(null) }, "Not now"),
        h("button", { type: "submit", class: "primary", disabled: busy }, "Unlock")));
  });
}

function confirm(title, text, verb) {
  return show((close) => h("form", { class: "dialog", onsubmit: (event) => { event.preventDefault(); close(true); } },
    h("h2", { id: "dialog-title" }, title), h("p", null, text),
    h("div", { class: "buttons" },
      h("button", { type: "button", onclick: () => close(null) }, "Leave as it is"),
      h("button", { type: "submit", class: "primary" }, verb))));
}

/** Say what happened, to eyes and to ears. */
export function tell(text, state = "ok") {
  const one = { text, state, key: `${Date.now()}-${told.length}` };
  told.push(one);
  drawTold();
  setTimeout(() => {
    told.splice(told.indexOf(one), 1);
    drawTold();
  }, TOLD_MS);
}

function drawTold() {
  render(document.getElementById("told"), told.map((one) => h("p", { key: one.key, class: `toast ${one.state}` }, one.text)));
}

/** A button that does something, after the token and a question if there is one. */
export function actionButton(verb, name, asked, question, more) {
  const run = async (event) => {
    const button = event.currentTarget;
    if (!token() && !(await askToken())) return;
    if (question && !(await confirm(question.title, question.text, verb))) return;
    button.disabled = true;
    try {
      tell((await act(name, asked)).message);
    } catch (error) {
      tell(error.message, "failed");
      if (error.status === 401) askToken();
    } finally {
      button.disabled = false;
    }
  };
  return h("button", { type: "button", key: `${name}-${JSON.stringify(asked)}`, onclick: run, ...more }, verb);
}
