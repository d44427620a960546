"use strict";
// Draws every figure into its place. A figure is its own description in JSON beside the place.
(() => {
  const NARROW = 560;
  // Plotly would offer to send a figure to a service of its maker's.
  const OPTIONS = {
    responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "",
    modeBarButtonsToRemove: ["select2d", "lasso2d"],
  };

  // As a picture of the same size, so that a printed page, which is narrower, can shrink it as a whole.
  const keepProportions = (place) => {
    const { width, height } = place._fullLayout;
    place.style.setProperty("--width", width);
    place.style.setProperty("--height", height);
    for (const drawing of place.querySelectorAll(".main-svg")) {
      drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    }
  };

  // Of a square of many classes as many labels as there is room for.
  const fitLabels = (data, layout) => {
    const labels = layout.xaxis.tickvals;
    if (!labels || !data.some((trace) => trace.type === "heatmap")) return;
    const every = Math.ceil((12 * labels.length) / (innerWidth - 120));
    for (const axis of [layout.xaxis, layout.yaxis]) {
      axis.tickvals = axis.tickvals.filter((_, index) => index % every === 0);
      axis.ticktext = axis.ticktext.filter((_, index) => index % every === 0);
    }
  };

  for (const place of document.querySelectorAll(".plot")) {
    const { data, layout } = JSON.parse(place.nextElementSibling.textContent);
    if (innerWidth < NARROW) {
      layout.margin = { ...layout.margin, l: 40, r: 8 };
      fitLabels(data, layout);
      if (layout.yaxis.scaleanchor || data.some((trace) => trace.type === "heatmap")) layout.height = innerWidth;
      place.style.minHeight = `${layout.height}px`;
    }
    Plotly.newPlot(place, data, layout, OPTIONS).then(() => {
      keepProportions(place);
      place.on("plotly_afterplot", () => keepProportions(place));
    });
  }

  // Tables and files that are folded away would be missing on paper.
  addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details[data-print]")) folded.open = true;
  });
})();
