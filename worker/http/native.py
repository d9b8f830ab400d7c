"""What of HTTP has a form outside Python, where that was built; None where it was not.

Belongs here: having it or not. Never here: choosing between forms.
"""

try:
    from worker.http import _carry as carrying
    from worker.http import _channel as channel
    from worker.http import _heads as heads
    from worker.http import _plan as plan
    from worker.http import _rounds as rounds
except ImportError:
    is_built = False
else:
    is_built = True

__all__ = ["carrying", "channel", "heads", "is_built", "plan", "rounds"]
