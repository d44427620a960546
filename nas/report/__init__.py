"""Reports: tables, figures, HTML pages, Markdown, and content of optuna-dashboard."""
