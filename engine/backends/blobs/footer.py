"""What the folder keeps beside a blob's content: a line at the end of the same file.

In the same file, because one rename then changes both; at its end, because the digest is known
only when the content has passed, and because content that begins at the beginning stays readable
for other programs.
"""

import re

import attrs

_FOOTER = re.compile(rb"\ntrellis-blob 1 ([0-9a-f]{64}) ([0-9]{20}) ([0-9a-f]{32})\n")

FOOTER_BYTES = len(b"\ntrellis-blob 1 ") + 64 + 1 + 20 + 1 + 32 + 1


class FooterError(Exception):
    """The file does not end as one of ours; the message says how it differs."""


@attrs.frozen
class Footer:
    """The digest and size of the content, and the tag of this writing of it."""

    sha256: str
    size_bytes: int
    etag: str

    def encode(self) -> bytes:
        """Return the bytes that follow the content."""
        return f"\ntrellis-blob 1 {self.sha256} {self.size_bytes:020d} {self.etag}\n".encode()


def decode_footer(tail: bytes, file_bytes: int) -> Footer:
    """Return what a file's end says.

    Args:
      tail: the file's last FOOTER_BYTES bytes, or all of a shorter file.
      file_bytes: the file's size.
    Raises:
      FooterError: this is no footer, or that of a file of another size.
    """
    found = _FOOTER.fullmatch(tail)
    if found is None:
        raise FooterError("its file does not end with a blob's footer")
    footer = Footer(found[1].decode(), int(found[2]), found[3].decode())
    if footer.size_bytes + FOOTER_BYTES != file_bytes:
        raise FooterError(
            f"its file has {file_bytes - FOOTER_BYTES} bytes of content, not {footer.size_bytes}"
        )
    return footer
