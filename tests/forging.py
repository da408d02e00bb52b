"""Files of skeeg.save as someone could make them on purpose: other content, and the right checksum."""

import hashlib
import json

from skeeg.persistence.format import NO_SUM, place_of_sum


def forge(good, change=lambda document: None, replace=lambda tensors: None):
    """Get the content of a file with another description or other tensors.

    ``change`` gets the description in JSON, ``replace`` the bytes of all tensors, as a bytearray; both change
    what they get, or ``change`` gives another description.
    """
    size = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + size])
    document = json.loads(header["__metadata__"]["skeeg"][64:])
    document = change(document) or document
    header["__metadata__"] = {"skeeg": f"{NO_SUM} {json.dumps(document)}"}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    tensors = bytearray(good[8 + size :])
    replace(tensors)
    forged = len(text).to_bytes(8, "little") + text + bytes(tensors)
    start = place_of_sum(forged)
    return forged[:start] + hashlib.sha256(forged).hexdigest().encode() + forged[start + 64 :]
