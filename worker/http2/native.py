"""What of HTTP/2 has a form outside Python, where that was built; None where it was not.

Belongs here: having it or not. Never here: choosing between forms.
"""

try:
    from worker.http2 import _fields as fields
    from worker.http2 import _frames as frames
    from worker.http2 import _hpack as hpack
except ImportError:
    is_built = False
else:
    is_built = True

__all__ = ["fields", "frames", "hpack", "is_built"]
