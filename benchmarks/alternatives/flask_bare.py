"""The floor of a framework: Flask around the minimal work, without checks."""

from flask import Flask, Response, request

from benchmarks.alternatives.floor import answer

app = Flask(__name__)


@app.post("/v1/gradients")
def post_gradients() -> Response:
    return Response(answer(request.get_data()), mimetype="application/json")
