"""The HTTP interface: operations, views, the OpenAPI document. Nothing that is done for every request alike."""
