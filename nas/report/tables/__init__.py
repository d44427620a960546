"""Plain-text tables shared by HTML, Markdown and the terminal."""
