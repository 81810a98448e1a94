"""Reports in Markdown: pages for GitHub, their parts, and what makes any text safe in them."""
