"""Find links within a built site that lead nowhere: ``python docs/check_links.py docs/_build``."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """Anchors of a page, and what it links to."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links = set(), set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.add(value)


def dead_links(site):
    """Find links to pages, files and anchors that are not there.

    Parameters
    ----------
    site : path-like
        Folder of HTML pages.

    Returns
    -------
    list of str
        A line a link: page, and what it links to. Links to other sites are not followed.
    """
    site = Path(site).resolve()
    # of the theme's own pages, in _static, some are templates
    paths = [path for path in sorted(site.rglob("*.html")) if path.relative_to(site).parts[0] != "_static"]
    pages = {path: _Page(path) for path in paths}
    dead = []
    for path, page in pages.items():
        for link in sorted(page.links):
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            target = target / "index.html" if target.is_dir() else target
            missing = not target.is_file()
            if not missing and address.fragment and target in pages:
                missing = unquote(address.fragment) not in pages[target].anchors
            if missing:
                dead.append(f"{path.relative_to(site)}: {link}")
    return dead


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    n_pages = len(list(folder.rglob("*.html")))
    found = dead_links(folder)
    print("\n".join(found) or f"{n_pages} pages, no dead link within the site")
    sys.exit(bool(found) or not n_pages)
