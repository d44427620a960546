"""Plotly and SVG figures of studies and networks."""
