"use strict";
// Draws every figure into its place. A figure is its own description in JSON beside the place.
(() => {
  const NARROW = 560;

  // As a picture of the same size, so that a printed page, which is narrower, can shrink it as a whole.
  const keepProportions = (place) => {
    const { width, height } = place._fullLayout;
    place.style.setProperty("--width", width);
    place.style.setProperty("--height", height);
    for (const drawing of place.querySelectorAll(".main-svg")) {
      drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    }
  };

  for (const place of document.querySelectorAll(".plot")) {
    const { data, layout } = JSON.parse(place.nextElementSibling.textContent);
    if (innerWidth < NARROW) {
      layout.margin = { ...layout.margin, l: 40, r: 8 };
      // As many labels as there is room for.
      if (data.some((trace) => trace.type === "heatmap") && layout.xaxis.tickvals && layout.xaxis.tickvals.length > 20) {
        const every = Math.ceil((12 * layout.xaxis.tickvals.length) / (innerWidth - 120));
        for (const axis of [layout.xaxis, layout.yaxis]) {
          axis.tickvals = axis.tickvals.filter((_, index) => index % every === 0);
          axis.ticktext = axis.ticktext.filter((_, index) => index % every === 0);
        }
        layout.height = innerWidth;
      }
    }
    const options = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
    Plotly.newPlot(place, data, layout, options).then(() => {
      keepProportions(place);
      place.on("plotly_afterplot", () => keepProportions(place));
    });
  }

  // Tables and files that are folded away would be missing on paper.
  addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details[data-print]")) folded.open = true;
  });
})();
