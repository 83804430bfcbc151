"""Where the head of a request ends."""

_END = b"\r\n\r\n"


def end_of_section(before: bytes | bytearray, data: bytes, at: int) -> int:
    """The index behind the first empty line of `data` from `at` on, or its length where there is none.

    `before` are the last three bytes in front of `at`: an empty line may have begun there. A head always ends with
    one, and httptools does not say where it ended, so it is given no more than up to the next one at a time.
    """
    seam = before + data[at : at + 3]
    if (found := seam.find(_END)) >= 0:
        return at + found + len(_END) - len(before)
    found = data.find(_END, at)
    return len(data) if found < 0 else found + len(_END)
