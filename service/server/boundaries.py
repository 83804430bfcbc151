"""Find the end of a request's head."""

_END = b"\r\n\r\n"


def end_of_head(before: bytes | bytearray, data: bytes, at: int) -> int:
    """The index behind the first empty line of `data` from `at` on, or the length of `data` if there is none.

    `before` are the last three bytes in front of `at`: the empty line may begin there. httptools does not say where a
    head ended, so it never gets data beyond an empty line, which ends every head.
    """
    seam = before + data[at : at + 3]
    if (found := seam.find(_END)) >= 0:
        return at + found + len(_END) - len(before)
    found = data.find(_END, at)
    return len(data) if found < 0 else found + len(_END)
