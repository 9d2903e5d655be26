"""What a page takes from a record: words, and tables, each of which stands between two comment lines, ``% begin NAME`` and ``% end NAME``."""

import re


def page_with_tables(text, blocks):
    """The page with what stands between each pair of comment lines replaced.

    Args:
        text: the page. blocks: {name: function without arguments that makes the text of the block}.

    Raises:
        ValueError: the page lacks one of the blocks.
    """
    for name, build in blocks.items():
        pattern = re.compile(rf"(% begin {re.escape(name)}\n).*?(\n% end {re.escape(name)}\n)", re.S)
        if not pattern.search(text):
            raise ValueError(f"the page has no block '% begin {name}' ... '% end {name}'.")
        made = build()
        text = pattern.sub(lambda m, made=made: f"{m[1]}\n{made}\n{m[2]}", text)
    return text


def listed(names, last="and"):
    """a, b and c."""
    names = list(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}" if len(names) > 1 else "".join(names)
