// Draws every figure with Vega, has all of them follow the legend, and says what agents have where the pointer is.
(() => {
  "use strict";
  const { agents, figures, configs } = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
  const hidden = new Set();
  const views = new Map();
  let seeds = false;

  // What an agent has nearest to a place on the x axis.
  function valueAt({ agent, x, y, low, high }, place) {
    const i = x.reduce((best, at, k) => (Math.abs(at - place) < Math.abs(x[best] - place) ? k : best), 0);
    return { agent, value: y[i], band: low.length ? `${number.format(low[i])} to ${number.format(high[i])}` : "" };
  }

  function tip(spec, place) {
    const shown = spec.data.values.filter(({ agent }) => !hidden.has(agent));
    const rows = shown.map((line) => valueAt(line, place)).sort((one, other) => other.value - one.value);
    const cells = rows.map(({ agent, value, band }) => {
      const name = `<td class="a${agents.indexOf(agent)}">${agent.replace(/[&<]/g, (c) => `&#${c.charCodeAt()};`)}</td>`;
      return `<tr>${name}<td>${number.format(value)}</td><td>${band}</td></tr>`;
    });
    const label = spec.layer.find((layer) => layer.params).encoding.x.title;
    return `<strong>${label} ${whole.format(place)}</strong><table>${cells.join("")}</table>`;
  }

  function tell(view) {
    return view.signal("hidden", [...hidden]).signal("seeds", seeds).runAsync();
  }

  async function draw(figure) {
    const name = figure.dataset.figure;
    const config = configs[dark.matches ? "dark" : "light"];
    const tooltip = { disableDefaultStyle: true, formatTooltip: (place) => tip(figures[name], Number(place)) };
    const options = { mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false, config, tooltip };
    views.get(name)?.finalize();
    const { view } = await vegaEmbed(figure.querySelector(".plot"), figures[name], options);
    views.set(name, view);
    await tell(view);
  }

  // A tap moves no pointer, though that is what values are shown for; and what is shown stays where the page moves on.
  function tap(event) {
    if (event.pointerType !== "mouse") event.target.dispatchEvent(new PointerEvent("pointermove", event));
  }

  function hideTip() {
    document.getElementById("vg-tooltip-element")?.classList.remove("visible");
  }

  async function drawAll() {
    delete document.body.dataset.drawn;
    for (const figure of document.querySelectorAll("[data-figure]")) await draw(figure);
    document.body.dataset.drawn = dark.matches ? "dark" : "light";
  }

  document.querySelectorAll(".legend button").forEach((button) => {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      const { agent } = button.dataset;
      if (agent === undefined) seeds = on;
      else if (on) hidden.delete(agent);
      else hidden.add(agent);
      views.forEach(tell);
    });
  });
  document.querySelectorAll(".plot").forEach((plot) => plot.addEventListener("click", tap));
  addEventListener("scroll", hideTip, { passive: true });
  let drawing = drawAll();
  dark.addEventListener("change", () => { drawing = drawing.then(drawAll); });
})();
