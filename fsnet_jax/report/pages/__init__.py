"""HTML pages: templates, style, and what fills them."""
