"""How the closed lists of words are written down."""


def words(listed: str) -> frozenset[str]:
    """The words of a list separated by white space: lists this long are unreadable one word a line."""
    return frozenset(listed.split())
