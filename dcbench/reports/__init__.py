"""Reports: what people look at - tables, figures, LaTeX and the page of the leaderboards."""
