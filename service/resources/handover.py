"""Keys of the ASGI scope and the WSGI environ, under which the server passes values to the application."""

CONNECTION = "chainrule.connection"  # of the scope: the client's connection

RECEIVED = "chainrule.received"  # when the head had arrived, by time.perf_counter
RECEIVED_BYTES = "chainrule.received_bytes"  # how much of the body has come so far
STAGES = "chainrule.stages"  # the seconds that the stages so far took, by name
BODY = "chainrule.body"  # the whole body, within the limit
KEY = "chainrule.key"  # the name of the API key, None if there is no valid one
LOADED = "chainrule.loaded"  # what a view has read from the body; a postponed request keeps it
REFUSAL = "chainrule.refusal"  # a Refusal, which is to be the answer
REPORTED = "chainrule.reported"  # a lock, taken to log and count the request once
