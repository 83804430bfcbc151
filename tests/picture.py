"""Take the README's picture of the explorer: `python -m tests.picture` writes docs/explorer.png."""

from pathlib import Path

from tests.browsing import Visit, chromium, served

PICTURE = Path(__file__).parents[1] / "docs" / "explorer.png"
SIZE = {"width": 1280, "height": 760}  # pixels


def main() -> None:
    """Open the first example in a browser, and take a screenshot."""
    with served() as address, chromium() as browser:
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        Visit(page, address).open()
        page.screenshot(path=PICTURE)


if __name__ == "__main__":
    main()
