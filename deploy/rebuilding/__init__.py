"""A rebuild of the deployment that the settings name, and the take-over of what it shows after a restore."""

from deploy.rebuilding.comparing import Into, run_rebuild
from deploy.rebuilding.run import take_over
from deploy.rebuilding.taken import Lag, TakenOver

__all__ = ["Into", "Lag", "TakenOver", "run_rebuild", "take_over"]
