// node check.js http://127.0.0.1:8000
"use strict";

const layers = [
  { activation: "sigmoid", weights: [[0.2, -0.4, 0.7], [0.5, 0.3, -0.6]], biases: [0.1, -0.2, 0.3] },
  { activation: "sigmoid", weights: [[0.6, -0.5], [-0.3, 0.8], [0.4, 0.9]], biases: [0.2, -0.1] },
];
const inputs = [[1.0, -0.5], [0.3, 0.8], [-1.2, 0.4]];
const targets = [[1, 0], [0, 1], [1, 1]];

const sigmoid = (a) => 1 / (1 + Math.exp(-a));
const times = (x, { weights, biases }) =>
  biases.map((b, j) => x.reduce((sum, xi, i) => sum + xi * weights[i][j], b));

function backprop() {
  const gradients = layers.map(({ weights, biases }) => ({
    dE_dw: weights.map((row) => row.map(() => 0)),
    dE_db: biases.map(() => 0),
  }));
  inputs.forEach((x, s) => {
    const outs = [x];
    for (const layer of layers) outs.push(times(outs.at(-1), layer).map(sigmoid));
    let delta = outs.at(-1).map((o, k) => (o - targets[s][k]) * o * (1 - o));
    for (let k = layers.length - 1; k >= 0; k--) {
      delta.forEach((d, j) => {
        gradients[k].dE_db[j] += d;
        outs[k].forEach((o, i) => (gradients[k].dE_dw[i][j] += o * d));
      });
      const down = outs[k].map((_, i) => delta.reduce((sum, d, j) => sum + d * layers[k].weights[i][j], 0));
      delta = down.map((d, i) => d * sigmoid(outs[k][i]) * (1 - sigmoid(outs[k][i]))); // the mistake: φ′(o) for φ′(a)
    }
  });
  return gradients;
}

async function main() {
  const response = await fetch(`${process.argv[2] ?? "http://127.0.0.1:8000"}/v1/gradient-checks`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ network: { layers }, inputs, targets, candidate: { layers: backprop() } }),
  });
  const answer = await response.json();
  console.log(answer.verdict ?? answer.detail);
}

main();
