"""Settings of Sphinx for the site; `build.py` writes the pages that it reads."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from names import repository

import coupling_fn

project = "coupling_fn"
author = "The coupling_fn authors"
release = version = coupling_fn.__version__

extensions = ["myst_parser", "extension"]
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "pydata_sphinx_theme"
html_title = f"{project} {release}"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "icon_links": [{"name": "Source", "url": repository(), "icon": "fa-brands fa-github"}],
    "collapse_navigation": True,  # else each page lists hundreds of names, thrice the bytes
    "show_nav_level": 1,
    "navigation_depth": 3,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "search_as_you_type": True,
}
