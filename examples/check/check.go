// go run check.go http://127.0.0.1:8000
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
)

type layer struct {
	Activation string      `json:"activation"`
	Weights    [][]float64 `json:"weights"`
	Biases     []float64   `json:"biases"`
}

type gradient struct {
	DW [][]float64 `json:"dE_dw"`
	DB []float64   `json:"dE_db"`
}

var layers = []layer{
	{"sigmoid", [][]float64{{0.2, -0.4, 0.7}, {0.5, 0.3, -0.6}}, []float64{0.1, -0.2, 0.3}},
	{"sigmoid", [][]float64{{0.6, -0.5}, {-0.3, 0.8}, {0.4, 0.9}}, []float64{0.2, -0.1}},
}
var inputs = [][]float64{{1.0, -0.5}, {0.3, 0.8}, {-1.2, 0.4}}
var targets = [][]float64{{1, 0}, {0, 1}, {1, 1}}

func forward(x []float64, l layer) []float64 {
	o := make([]float64, len(l.Biases))
	for j := range o {
		a := l.Biases[j]
		for i := range x {
			a += x[i] * l.Weights[i][j]
		}
		o[j] = 1 / (1 + math.Exp(-a))
	}
	return o
}

func backprop() []gradient {
	g := make([]gradient, len(layers))
	for k, l := range layers {
		g[k].DB = make([]float64, len(l.Biases))
		for range l.Weights {
			g[k].DW = append(g[k].DW, make([]float64, len(l.Biases)))
		}
	}
	for s, x := range inputs {
		outs := [][]float64{x}
		for k, l := range layers {
			outs = append(outs, forward(outs[k], l))
		}
		delta := make([]float64, len(targets[s]))
		for j, o := range outs[len(layers)] {
			delta[j] = (targets[s][j] - o) * o * (1 - o) // the mistake: t - o for o - t
		}
		for k := len(layers) - 1; k >= 0; k-- {
			down := make([]float64, len(outs[k]))
			for i, o := range outs[k] {
				for j, d := range delta {
					g[k].DW[i][j] += o * d
					down[i] += d * layers[k].Weights[i][j]
				}
				down[i] *= o * (1 - o)
			}
			for j, d := range delta {
				g[k].DB[j] += d
			}
			delta = down
		}
	}
	return g
}

func main() {
	base := "http://127.0.0.1:8000"
	if len(os.Args) > 1 {
		base = os.Args[1]
	}
	body, _ := json.Marshal(map[string]any{
		"network": map[string]any{"layers": layers}, "inputs": inputs, "targets": targets,
		"candidate": map[string]any{"layers": backprop()},
	})
	response, err := http.Post(base+"/v1/gradient-checks", "application/json", bytes.NewReader(body))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	defer response.Body.Close()
	var answer struct{ Verdict, Detail string }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(answer.Verdict + answer.Detail)
}
