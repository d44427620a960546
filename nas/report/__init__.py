"""Reports: tables, figures, HTML pages, Markdown, and the content of optuna-dashboard."""
