"""Find the end of a request's head."""

_END = b"\r\n\r\n"


def end_of_section(before: bytes | bytearray, data: bytes, at: int) -> int:
    """The index behind the first empty line of `data` from `at` on, or the length of `data` if it has no empty line.

    `before` are the last three bytes in front of `at`: an empty line may begin there. An empty line ends every head.
    httptools does not say where the head ended, so it gets the data only up to the next empty line at a time.
    """
    seam = before + data[at : at + 3]
    if (found := seam.find(_END)) >= 0:
        return at + found + len(_END) - len(before)
    found = data.find(_END, at)
    return len(data) if found < 0 else found + len(_END)
