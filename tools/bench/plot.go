package main

import (
	"fmt"
	"math"
	"strings"
)

// The plot's measures in pixels.
const (
	plotWidth, plotLeft, plotRight = 760, 330, 60
	barHeight, barGap, groupGap    = 12, 3, 12
)

// The plot's ratios lie between these; its axis is logarithmic, so that twice and half are as far from plain go-plugin.
const leastRatio, mostRatio = 0.125, 8

// at is where a ratio lies across the plot.
func at(ratio float64) float64 {
	share := math.Log(min(max(ratio, leastRatio), mostRatio)/leastRatio) / math.Log(mostRatio/leastRatio)
	return plotLeft + share*(plotWidth-plotLeft-plotRight)
}

// bars draws the p50 and the processor time of each crossing, over frames and over gRPC, from the line of plain
// go-plugin.
func bars(all results) string {
	var body strings.Builder
	y := 40
	for _, c := range crossings() {
		for _, n := range callers() {
			metrics := all[nameOfCrossing(c, n)]
			if metrics == nil {
				continue
			}
			fmt.Fprintf(&body, `<text x="%d" y="%d" text-anchor="end">%s, %d at once</text>`+"\n", plotLeft-10, y+2*barHeight,
				short(c), n)
			for _, bar := range []struct{ metric, color string }{
				{"process-p50/plain", "#1f77b4"}, {"process-cpu/plain", "#aec7e8"}, {"grpc-p50/plain", "#7f7f7f"},
				{"grpc-cpu/plain", "#c7c7c7"},
			} {
				v := metrics[bar.metric]
				from, to := min(at(1), at(v)), max(at(1), at(v))
				fmt.Fprintf(&body, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", from, y, to-from, barHeight,
					bar.color)
				fmt.Fprintf(&body, `<text x="%.1f" y="%d" class="value">%s</text>`+"\n", to+4, y+barHeight-2, shown(v))
				y += barHeight + barGap
			}
			y += groupGap
		}
	}
	var axis strings.Builder
	for ratio := float64(leastRatio); ratio <= mostRatio; ratio *= 2 {
		fmt.Fprintf(&axis, `<line x1="%.1f" y1="30" x2="%.1f" y2="%d" stroke="#ddd"/>`+"\n", at(ratio), at(ratio), y)
		fmt.Fprintf(&axis, `<text x="%.1f" y="24" text-anchor="middle">%g</text>`+"\n", at(ratio), ratio)
	}
	fmt.Fprintf(&axis, `<line x1="%.1f" y1="30" x2="%.1f" y2="%d" stroke="#000"/>`+"\n", at(1), at(1), y)
	legend := fmt.Sprintf(
		`<text x="10" y="%d">Ratios to plain go-plugin, less is better. Frames: p50 blue, processor light blue; gRPC: p50 grey, processor light grey.</text>`, y+16)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">
<style>text { font: 12px sans-serif } .value { font-size: 10px }</style>
<rect width="100%%" height="100%%" fill="#fff"/>
%s%s%s
</svg>
`, plotWidth, y+28, plotWidth, y+28, axis.String(), body.String(), legend)
}

// short is what a plot has room for.
func short(c crossing) string {
	return map[string]string{"call": "call", "callback": "call that calls back",
		"forward": "call through the node"}[c.name]
}
