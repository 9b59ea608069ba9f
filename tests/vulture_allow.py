"""Names that vulture cannot see used, because something other than our own code uses them.

Each is here for a reason; a name that goes from the code goes from here.
"""

from andon.serve.routing import RawRoute
from andon.serve.server import _Server

# Called by uvicorn and FastAPI by these names.
_Server.main_loop
_Server.capture_signals
RawRoute.get_route_handler
