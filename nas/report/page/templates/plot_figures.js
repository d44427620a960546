"use strict";
// Draw every figure into its place from the JSON in the script element that follows.
(() => {
  const NARROW = 560;
  // No button for sending a figure to Plotly's own cloud.
  const OPTIONS = {
    responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "",
    modeBarButtonsToRemove: ["select2d", "lasso2d"],
  };

  // Set a viewBox of the drawn size, so that a narrower printed page can scale the figure.
  const keepProportions = (place) => {
    const { width, height } = place._fullLayout;
    place.style.setProperty("--width", width);
    place.style.setProperty("--height", height);
    for (const drawing of place.querySelectorAll(".main-svg")) {
      drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    }
  };

  // Thin out the tick labels of a heat map to fit a narrow window.
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

  // Closed details elements would be missing on paper.
  addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details[data-print]")) folded.open = true;
  });
})();
